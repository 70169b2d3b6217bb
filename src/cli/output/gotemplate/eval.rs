//! Runs a parsed template on a value, with Go's errors.

use super::ast::{Branch, Command, Node, Operand, OperandKind, Pipe};
use super::functions::{self, CallError};
use super::value::Value;
use super::{Template, TemplateError, literal, time_methods};

/// Longest text a template may produce, in bytes. Machines are few; more is a mistake such as `pad` with a huge width.
const MAX_OUTPUT: usize = 16 << 20;
/// Most commands a template may run: `range` in `range` in `range` ends some day.
const MAX_STEPS: usize = 1_000_000;

/// Renders `template` with `data` as dot.
pub(super) fn execute(template: &Template, data: &Value) -> Result<String, TemplateError> {
    let mut state = State {
        template,
        output: String::new(),
        steps: 0,
        variables: vec![("$".to_owned(), data.clone())],
        place: None,
    };
    state.walk(&template.nodes, data)?;
    Ok(state.output)
}

type Result<T, E = TemplateError> = std::result::Result<T, E>;

/// What goes on after a node: the next one, or the loop around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct State<'a> {
    template: &'a Template,
    output: String,
    steps: usize,
    variables: Vec<(String, Value)>,
    /// What is being evaluated: position and text, for errors.
    place: Option<(usize, String)>,
}

impl State<'_> {
    fn at(&mut self, position: usize, context: &impl ToString) {
        self.place = Some((position, context.to_string()));
    }

    fn fail<T>(&self, message: impl AsRef<str>) -> Result<T> {
        let name = &self.template.name;
        let message = message.as_ref();
        let Some((position, context)) = &self.place else {
            return Err(TemplateError(format!("template: {name}: {message}")));
        };
        let before = &self.template.text[..*position];
        let line = before.matches('\n').count() + 1;
        let column = match before.rfind('\n') {
            Some(newline) => position - (newline + 1),
            None => *position,
        };
        Err(TemplateError(format!(
            "template: {name}:{line}:{column}: executing {} at <{context}>: {message}",
            literal::quote(name),
        )))
    }

    fn write(&mut self, text: &str) -> Result<()> {
        if self.output.len() + text.len() > MAX_OUTPUT {
            return self.fail(format!("more than {MAX_OUTPUT} bytes of output"));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn walk(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow> {
        for node in nodes {
            let flow = match node {
                Node::Text(text) => {
                    self.write(text)?;
                    Flow::Next
                }
                Node::Action(pipe) => {
                    let value = self.pipeline(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        let text = match value {
                            Value::Nil => "<no value>".to_owned(),
                            value => value.display(),
                        };
                        self.write(&text)?;
                    }
                    Flow::Next
                }
                Node::If(branch) => self.condition(branch, dot, false)?,
                Node::With(branch) => self.condition(branch, dot, true)?,
                Node::Range(branch) => self.range(branch, dot)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn condition(&mut self, branch: &Branch, dot: &Value, sets_dot: bool) -> Result<Flow> {
        let variables = self.variables.len();
        let value = self.pipeline(&branch.pipe, dot)?;
        let flow = if value.is_true() {
            self.walk(&branch.body, if sets_dot { &value } else { dot })
        } else {
            self.walk(&branch.otherwise, dot)
        };
        self.variables.truncate(variables);
        flow
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<Flow> {
        let outer = self.variables.len();
        let value = self.pipeline(&branch.pipe, dot)?;
        let items: Vec<(Value, Value)> = match value {
            Value::List { items, .. } => (0..).map(Value::Int).zip(items).collect(),
            Value::Map(entries) => entries
                .into_iter()
                .map(|(key, value)| (Value::Text(key), value))
                .collect(),
            Value::Nil => Vec::new(),
            other => return self.fail(format!("range can't iterate over {}", other.display())),
        };
        if items.is_empty() {
            let flow = self.walk(&branch.otherwise, dot);
            self.variables.truncate(outer);
            return flow;
        }
        let inner = self.variables.len();
        for (key, item) in items {
            self.step()?;
            // The pipeline has already bound its variables; the loop gives them their values.
            let names = &branch.pipe.variables;
            match names.as_slice() {
                [] => {}
                [value_name] => self.assign(value_name, item.clone()),
                [key_name, value_name, ..] => {
                    self.assign(key_name, key);
                    self.assign(value_name, item.clone());
                }
            }
            let flow = self.walk(&branch.body, &item)?;
            self.variables.truncate(inner);
            if flow == Flow::Break {
                break;
            }
        }
        self.variables.truncate(outer);
        Ok(Flow::Next)
    }

    fn assign(&mut self, name: &str, value: Value) {
        if let Some(variable) = self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| known == name)
        {
            variable.1 = value;
        }
    }

    fn variable(&self, name: &str) -> Result<Value> {
        match self.variables.iter().rev().find(|(known, _)| known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.fail(format!("undefined variable: {name}")),
        }
    }

    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return self.fail(format!("more than {MAX_STEPS} steps"));
        }
        Ok(())
    }

    fn pipeline(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value> {
        self.at(pipe.position, pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone());
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    /// `piped` is the value of the command before it, which becomes the last argument.
    fn command(&mut self, command: &Command, dot: &Value, piped: Option<Value>) -> Result<Value> {
        self.step()?;
        let (word, rest) = (&command.words[0], &command.words[1..]);
        match &word.kind {
            OperandKind::Function(name) => {
                self.at(word.position, word);
                self.call(name, command, rest, dot, piped)
            }
            OperandKind::Field(fields) => {
                self.at(word.position, word);
                self.fields(dot.clone(), fields, rest, dot, piped)
            }
            OperandKind::Chain { base, fields } => {
                self.at(word.position, word);
                let receiver = self.operand(base, dot)?;
                self.at(word.position, word);
                self.fields(receiver, fields, rest, dot, piped)
            }
            OperandKind::Variable { name, fields } if !fields.is_empty() => {
                self.at(word.position, word);
                let receiver = self.variable(name)?;
                self.fields(receiver, fields, rest, dot, piped)
            }
            _ => {
                self.at(word.position, word);
                if !rest.is_empty() || piped.is_some() {
                    return self.fail(format!("can't give argument to non-function {word}"));
                }
                if matches!(word.kind, OperandKind::Nil) {
                    return self.fail("nil is not a command");
                }
                self.operand(word, dot)
            }
        }
    }

    /// A term in the place of an argument.
    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Bool(value) => Ok(Value::Bool(*value)),
            OperandKind::Number { value, .. } => Ok(match i64::try_from(*value) {
                Ok(value) => Value::Int(value),
                Err(_) => Value::Uint(u64::try_from(*value).unwrap_or(u64::MAX)),
            }),
            OperandKind::Text { value, .. } => Ok(Value::Text(value.clone())),
            OperandKind::Variable { name, fields } if fields.is_empty() => self.variable(name),
            OperandKind::Pipe(pipe) => self.pipeline(pipe, dot),
            OperandKind::Function(_)
            | OperandKind::Field(_)
            | OperandKind::Variable { .. }
            | OperandKind::Chain { .. } => {
                let command = Command {
                    position: operand.position,
                    words: vec![operand.clone()],
                };
                self.command(&command, dot, None)
            }
        }
    }

    fn call(
        &mut self,
        name: &str,
        command: &Command,
        words: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value> {
        // These two look at no more of their arguments than they must.
        if matches!(name, "and" | "or") {
            return self.shortcut(name == "or", name, words, dot, piped);
        }
        let count = words.len() + usize::from(piped.is_some());
        if let Err(message) = functions::check_count(name, count) {
            return self.fail(message);
        }
        let mut arguments = Vec::with_capacity(count);
        for word in words {
            arguments.push(self.operand(word, dot)?);
        }
        arguments.extend(piped);
        self.at(command.position, command);
        match functions::call(name, &arguments) {
            Ok(value) => Ok(value),
            Err(CallError::Failed(message)) => {
                self.fail(format!("error calling {name}: {message}"))
            }
            Err(CallError::Argument { index, expected }) => {
                self.wrong_argument(words.get(index), expected, &arguments[index])
            }
        }
    }

    fn wrong_argument<T>(
        &mut self,
        word: Option<&Operand>,
        expected: &str,
        value: &Value,
    ) -> Result<T> {
        if let Some(word) = word {
            self.at(word.position, word);
            if matches!(
                word.kind,
                OperandKind::Bool(_) | OperandKind::Number { .. } | OperandKind::Text { .. }
            ) {
                let expected = if expected == "int" {
                    "integer"
                } else {
                    expected
                };
                return self.fail(format!("expected {expected}; found {word}"));
            }
        }
        let actual = value.type_name();
        self.fail(format!(
            "wrong type for value; expected {expected}; got {actual}"
        ))
    }

    fn shortcut(
        &mut self,
        stop: bool,
        name: &str,
        words: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value> {
        let mut last = None;
        for word in words {
            let value = self.operand(word, dot)?;
            if value.is_true() == stop {
                return Ok(value);
            }
            last = Some(value);
        }
        match piped.or(last) {
            Some(value) => Ok(value),
            None => self.fail(format!(
                "wrong number of args for {name}: want at least 1 got 0"
            )),
        }
    }

    /// Follows `.A.B.C` from `receiver`; only the last may have arguments.
    fn fields(
        &mut self,
        receiver: Value,
        fields: &[String],
        words: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value> {
        let place = self.place.clone();
        let mut arguments = Vec::new();
        for word in words {
            arguments.push(self.operand(word, dot)?);
        }
        arguments.extend(piped);
        self.place = place;
        let mut value = receiver;
        let last = fields.len() - 1;
        for (index, field) in fields.iter().enumerate() {
            let arguments = if index == last {
                arguments.as_slice()
            } else {
                &[]
            };
            value = self.field(value, field, arguments)?;
        }
        Ok(value)
    }

    fn field(&self, receiver: Value, name: &str, arguments: &[Value]) -> Result<Value> {
        if let Value::Time(time) = &receiver
            && let Some(result) = time_methods::call(time, name, arguments)
        {
            return match result {
                Ok(value) => Ok(value),
                Err(message) => self.fail(message),
            };
        }
        let type_name = receiver.type_name();
        let has_arguments = !arguments.is_empty();
        match receiver {
            Value::Nil => return Ok(Value::Nil),
            Value::Struct(value) => {
                if let Some(field) = value.fields.into_iter().find(|field| field.name == name) {
                    if has_arguments {
                        return self.fail(format!(
                            "{name} has arguments but cannot be invoked as function"
                        ));
                    }
                    return Ok(field.value);
                }
            }
            Value::Map(entries) => {
                if has_arguments {
                    return self.fail(format!("{name} is not a method but has arguments"));
                }
                let found = entries.into_iter().find(|(key, _)| key == name);
                return Ok(found.map_or(Value::Nil, |(_, value)| value));
            }
            Value::NilPointer { fields, .. } if fields.contains(&name) => {
                return self.fail(format!("nil pointer evaluating {type_name}.{name}"));
            }
            _ => {}
        }
        self.fail(format!("can't evaluate field {name} in type {type_name}"))
    }
}
