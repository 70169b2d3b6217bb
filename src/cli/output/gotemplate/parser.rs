//! Tokens to nodes, by the rules of Go's parser. Errors name the line of the token at fault.

use super::TemplateError;
use super::ast::{Branch, Command, Node, Operand, OperandKind, Pipe};
use super::lexer::{Kind, Token, tokenize};
use super::{functions, literal};

/// Control structures and parentheses inside one another. Deeper ones would only exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Parses the text of the template `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser {
        name,
        tokens: tokenize(text),
        next: 0,
        action_line: 0,
        depth: 0,
        ranges: 0,
        variables: vec!["$".to_owned()],
    };
    let mut nodes = Vec::new();
    while parser.peek().kind != Kind::End {
        match parser.text_or_action()? {
            Item::Node(node) => nodes.push(node),
            Item::End => return parser.fail("unexpected {{end}}"),
            Item::Else => return parser.fail("unexpected {{else}}"),
        }
    }
    Ok(nodes)
}

enum Item {
    Node(Node),
    End,
    Else,
}

type Result<T, E = TemplateError> = std::result::Result<T, E>;

struct Parser<'a> {
    name: &'a str,
    tokens: Vec<Token>,
    next: usize,
    action_line: usize,
    depth: usize,
    ranges: usize,
    variables: Vec<String>,
}

impl Parser<'_> {
    /// The last token is `End` or `Error` and is given again for ever.
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_word(&mut self) -> &Token {
        self.skip_space();
        self.peek()
    }

    fn take_word(&mut self) -> Token {
        self.skip_space();
        self.take()
    }

    /// An error at the line of the last token taken.
    fn fail<T>(&self, message: impl AsRef<str>) -> Result<T> {
        let last = self.next.saturating_sub(1).min(self.tokens.len() - 1);
        self.fail_at(self.tokens[last].line, message)
    }

    fn fail_at<T>(&self, line: usize, message: impl AsRef<str>) -> Result<T> {
        Err(TemplateError(format!(
            "template: {}:{line}: {}",
            self.name,
            message.as_ref()
        )))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Result<T> {
        if token.kind != Kind::Error {
            return self.fail_at(
                token.line,
                format!("unexpected {} in {context}", token.describe()),
            );
        }
        let mut message = token.text.clone();
        if self.action_line != 0 && self.action_line != token.line {
            let before = if message.ends_with(" action") {
                ""
            } else {
                " in action"
            };
            let (name, line) = (self.name, self.action_line);
            message = format!("{message}{before} started at {name}:{line}");
        }
        self.fail_at(token.line, message)
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<()> {
        let token = self.take_word();
        if token.kind != kind {
            return self.unexpected(&token, context);
        }
        Ok(())
    }

    fn descend(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(format!("nested more than {MAX_DEPTH} levels deep"));
        }
        Ok(())
    }

    fn text_or_action(&mut self) -> Result<Item> {
        let token = self.take();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelimiter => {
                self.action_line = token.line;
                let item = self.action()?;
                self.action_line = 0;
                Ok(item)
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Result<Item> {
        if self.peek_word().kind != Kind::Keyword {
            let pipe = self.pipeline("command", Kind::RightDelimiter)?;
            return Ok(Item::Node(Node::Action(pipe)));
        }
        let token = self.take();
        let node = match token.text.as_str() {
            "if" => Node::If(self.control("if")?),
            "with" => Node::With(self.control("with")?),
            "range" => Node::Range(self.control("range")?),
            "break" | "continue" => {
                let word = token.text.as_str();
                self.expect(Kind::RightDelimiter, &format!("{{{{{word}}}}}"))?;
                if self.ranges == 0 {
                    return self.fail(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                if word == "break" {
                    Node::Break
                } else {
                    Node::Continue
                }
            }
            "end" => {
                self.expect(Kind::RightDelimiter, "end")?;
                return Ok(Item::End);
            }
            "else" => {
                let next = self.peek_word();
                // `{{else if x}}`: what encloses it goes on with the word.
                if !(next.kind == Kind::Keyword && matches!(next.text.as_str(), "if" | "with")) {
                    self.expect(Kind::RightDelimiter, "else")?;
                }
                return Ok(Item::Else);
            }
            word => return self.fail(format!("{{{{{word}}}}} is not supported here")),
        };
        Ok(Item::Node(node))
    }

    fn control(&mut self, context: &str) -> Result<Branch> {
        self.descend()?;
        let variables = self.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelimiter)?;
        let looped = usize::from(context == "range");
        self.ranges += looped;
        let (body, end) = self.list()?;
        self.ranges -= looped;
        let otherwise = match end {
            Item::Else if self.peek().kind == Kind::Keyword => {
                if self.peek().text != context {
                    let token = self.take();
                    return self.unexpected(&token, "else");
                }
                self.take();
                let branch = self.control(context)?;
                vec![if context == "if" {
                    Node::If(branch)
                } else {
                    Node::With(branch)
                }]
            }
            Item::Else => {
                let (nodes, end) = self.list()?;
                if matches!(end, Item::Else) {
                    return self.fail("expected end; found {{else}}");
                }
                nodes
            }
            _ => Vec::new(),
        };
        self.variables.truncate(variables);
        self.depth -= 1;
        Ok(Branch {
            pipe,
            body,
            otherwise,
        })
    }

    /// Nodes up to an `end` or `else`.
    fn list(&mut self) -> Result<(Vec<Node>, Item)> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::End {
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                end => return Ok((nodes, end)),
            }
        }
        self.fail_at(self.peek().line, "unexpected EOF")
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe> {
        let mut pipe = Pipe {
            position: self.peek_word().position,
            variables: Vec::new(),
            assigns: false,
            commands: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.take_word();
            if token.kind == end {
                break;
            }
            if !starts_operand(token.kind) {
                return self.unexpected(&token, context);
            }
            self.next -= 1;
            pipe.commands.push(self.command()?);
        }
        if pipe.commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            if matches!(
                command.words[0].kind,
                OperandKind::Bool(_)
                    | OperandKind::Dot
                    | OperandKind::Nil
                    | OperandKind::Number { .. }
                    | OperandKind::Text { .. }
            ) {
                return self.fail(format!(
                    "non executable command in pipeline stage {}",
                    index + 1
                ));
            }
        }
        Ok(pipe)
    }

    /// `$a :=`, `$a =`, and `$a, $b :=` of a range.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<()> {
        while self.peek_word().kind == Kind::Variable {
            let start = self.next;
            let name = self.take().text;
            let next = self.take_word();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = next.kind == Kind::Assign;
                    if pipe.assigns {
                        self.require_variable(&name)?;
                    }
                    self.variables.push(name.clone());
                    pipe.variables.push(name);
                    return Ok(());
                }
                Kind::Other if next.text == "," => {
                    if context != "range" || !pipe.variables.is_empty() {
                        return self.fail(format!("too many declarations in {context}"));
                    }
                    if self.peek_word().kind != Kind::Variable {
                        return self.fail("range can only initialize variables");
                    }
                    self.variables.push(name.clone());
                    pipe.variables.push(name);
                }
                _ => {
                    self.next = start;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command> {
        let mut command = Command {
            position: self.peek_word().position,
            words: Vec::new(),
        };
        loop {
            self.skip_space();
            command.words.extend(self.operand()?);
            match self.peek().kind {
                Kind::Space => {}
                Kind::RightDelimiter | Kind::RightParenthesis => break,
                Kind::Pipe => {
                    self.take();
                    // Go notices a pipe without a command behind it at the closing sign.
                    let next = self.peek_word().clone();
                    if matches!(next.kind, Kind::RightDelimiter | Kind::RightParenthesis) {
                        return self.fail_at(next.line, "missing value for command");
                    }
                    break;
                }
                _ => {
                    let token = self.take();
                    return self.unexpected(&token, "operand");
                }
            }
        }
        if command.words.is_empty() {
            return self.fail("empty command");
        }
        Ok(command)
    }

    fn operand(&mut self) -> Result<Option<Operand>> {
        let Some(mut operand) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        // Go says that a chain is where its second part is.
        let position = self.peek().position;
        let mut chained = Vec::new();
        while self.peek().kind == Kind::Field {
            chained.push(self.take().text[1..].to_owned());
        }
        match &mut operand.kind {
            OperandKind::Field(fields) | OperandKind::Variable { fields, .. } => {
                fields.append(&mut chained);
                operand.position = position;
            }
            OperandKind::Pipe(_) | OperandKind::Function(_) => {
                operand = Operand {
                    position,
                    kind: OperandKind::Chain {
                        base: Box::new(operand),
                        fields: chained,
                    },
                };
            }
            _ => {
                let term = literal::quote(&operand.to_string());
                return self.fail(format!("unexpected . after term {term}"));
            }
        }
        Ok(Some(operand))
    }

    fn term(&mut self) -> Result<Option<Operand>> {
        let token = self.take_word();
        let kind = match token.kind {
            Kind::Identifier => {
                if !functions::exists(&token.text) {
                    let name = literal::quote(&token.text);
                    return self.fail_at(token.line, format!("function {name} not defined"));
                }
                OperandKind::Function(token.text)
            }
            Kind::Dot => OperandKind::Dot,
            Kind::Nil => OperandKind::Nil,
            Kind::Bool => OperandKind::Bool(token.text == "true"),
            Kind::Variable => {
                self.require_variable(&token.text)?;
                OperandKind::Variable {
                    name: token.text,
                    fields: Vec::new(),
                }
            }
            Kind::Field => OperandKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Number | Kind::Character => {
                let Some(value) = literal::number(&token.text) else {
                    let text = literal::quote(&token.text);
                    return self.fail_at(token.line, format!("bad number syntax: {text}"));
                };
                OperandKind::Number {
                    text: token.text,
                    value,
                }
            }
            Kind::String | Kind::RawString => {
                let Some(value) = literal::unquote(&token.text) else {
                    return self.fail_at(token.line, "invalid syntax");
                };
                OperandKind::Text {
                    quoted: token.text,
                    value,
                }
            }
            Kind::LeftParenthesis => {
                self.descend()?;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParenthesis)?;
                self.depth -= 1;
                OperandKind::Pipe(pipe)
            }
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Operand {
            position: token.position,
            kind,
        }))
    }

    fn require_variable(&self, name: &str) -> Result<()> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        self.fail(format!("undefined variable {}", literal::quote(name)))
    }
}

fn starts_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::Character
            | Kind::Dot
            | Kind::Field
            | Kind::Identifier
            | Kind::Number
            | Kind::Nil
            | Kind::RawString
            | Kind::String
            | Kind::Variable
            | Kind::LeftParenthesis
    )
}
