//! Go's `text/template`, as much of it as `--format` users write.
//!
//! Text, actions, pipelines, `if`, `range`, `with`, variables, comments, trim markers, and the functions in
//! [`functions`]. Not here: `define`, `template` and `block`, floating-point numbers, and range over integers.
//! Error texts and positions are Go's, because scripts and people know them.
//!
//! ```text
//! text ── lexer ──> tokens ── parser ──> nodes ── eval (with a Value) ──> text
//! ```
//!
//! Templates come from the command line, so no input may panic or exhaust the stack: nesting is bounded in the parser,
//! output and steps are bounded in the evaluation.

mod ast;
mod eval;
mod functions;
mod lexer;
mod literal;
mod parser;
mod printf;
mod time_methods;
mod value;

pub use value::{Field, Struct, Value};

use self::ast::Node;

/// What is wrong with a template or with its use on a value, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub(crate) String);

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    name: String,
    text: String,
    nodes: Vec<Node>,
}

impl Template {
    /// Parses `text`; `name` is what errors call the template.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let nodes = parser::parse(name, text)?;
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            nodes,
        })
    }

    /// Renders the template with `data` as dot.
    pub fn execute(&self, data: &Value) -> Result<String, TemplateError> {
        eval::execute(self, data)
    }
}

#[cfg(test)]
mod tests;
