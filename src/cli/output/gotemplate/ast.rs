//! The parsed form of a template. `Display` writes an operand the way Go's errors quote it.

use std::fmt;

/// One piece of a template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    Range(Branch),
    With(Branch),
    Break,
    Continue,
}

/// A control structure: what it looks at, and its two bodies.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// `$a, $b := command | command`.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) position: usize,
    pub(super) variables: Vec<String>,
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A word and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) position: usize,
    pub(super) words: Vec<Operand>,
}

/// A single term with the place where Go says it is.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) position: usize,
    pub(super) kind: OperandKind,
}

#[derive(Debug, Clone)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Number {
        text: String,
        value: i128,
    },
    Text {
        quoted: String,
        value: String,
    },
    Field(Vec<String>),
    Variable {
        name: String,
        fields: Vec<String>,
    },
    Function(String),
    Pipe(Pipe),
    Chain {
        base: Box<Operand>,
        fields: Vec<String>,
    },
}

fn write_fields(formatter: &mut fmt::Formatter<'_>, fields: &[String]) -> fmt::Result {
    fields
        .iter()
        .try_for_each(|field| write!(formatter, ".{field}"))
}

impl fmt::Display for Operand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            OperandKind::Dot => formatter.write_str("."),
            OperandKind::Nil => formatter.write_str("nil"),
            OperandKind::Bool(value) => write!(formatter, "{value}"),
            OperandKind::Number { text, .. } => formatter.write_str(text),
            OperandKind::Text { quoted, .. } => formatter.write_str(quoted),
            OperandKind::Field(fields) => write_fields(formatter, fields),
            OperandKind::Variable { name, fields } => {
                formatter.write_str(name)?;
                write_fields(formatter, fields)
            }
            OperandKind::Function(name) => formatter.write_str(name),
            OperandKind::Pipe(pipe) => write!(formatter, "({pipe})"),
            OperandKind::Chain { base, fields } => {
                write!(formatter, "{base}")?;
                write_fields(formatter, fields)
            }
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" ")?;
            }
            write!(formatter, "{word}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(formatter, "{} {sign} ", self.variables.join(", "))?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" | ")?;
            }
            write!(formatter, "{command}")?;
        }
        Ok(())
    }
}
