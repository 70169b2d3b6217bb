//! Splits a template into tokens, by the rules of Go's lexer (trim markers, comments, terminators).

use super::literal::quote;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    End,
    Text,
    LeftDelimiter,
    RightDelimiter,
    LeftParenthesis,
    RightParenthesis,
    Space,
    Assign,
    Declare,
    Pipe,
    Dot,
    Nil,
    Bool,
    Number,
    Character,
    String,
    RawString,
    Field,
    Variable,
    Identifier,
    Keyword,
    /// A printable character without a meaning of its own, such as a comma.
    Other,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) position: usize,
    pub(super) line: usize,
}

impl Token {
    /// The token as Go's errors quote it.
    pub(super) fn describe(&self) -> String {
        match self.kind {
            Kind::End => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            Kind::Keyword | Kind::Nil => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                let head: String = self.text.chars().take(10).collect();
                format!("{}...", quote(&head))
            }
            _ => quote(&self.text),
        }
    }
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const COMMENT_START: &str = "/*";
const COMMENT_END: &str = "*/";
const KEYWORDS: [&str; 10] = [
    "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with",
];

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// Text that starts with a blank, a minus and the closing braces: `{{.Name -}}`.
fn is_right_trim(rest: &str) -> bool {
    let mut characters = rest.chars();
    characters.next().is_some_and(is_space)
        && characters
            .as_str()
            .strip_prefix('-')
            .is_some_and(|rest| rest.starts_with(RIGHT))
}

/// All tokens of `input`; the last one is `End` or `Error`.
pub(super) fn tokenize(input: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        input,
        position: 0,
        start: 0,
        line: 1,
        parentheses: 0,
        tokens: Vec::new(),
    };
    if let Err(message) = lexer.run() {
        let line = lexer.line_at(lexer.start);
        lexer.tokens.push(Token {
            kind: Kind::Error,
            text: message,
            position: lexer.start,
            line,
        });
    }
    lexer.tokens
}

struct Lexer<'a> {
    input: &'a str,
    position: usize,
    start: usize,
    /// Line of `start`.
    line: usize,
    parentheses: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.input[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.position += character.len_utf8();
        Some(character)
    }

    fn skip_while(&mut self, accept: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&accept) {
            self.next();
        }
    }

    fn line_at(&self, position: usize) -> usize {
        debug_assert!(position >= self.start);
        self.line + count_lines(&self.input[self.start..position])
    }

    fn emit(&mut self, kind: Kind) {
        let text = &self.input[self.start..self.position];
        self.tokens.push(Token {
            kind,
            text: text.to_owned(),
            position: self.start,
            line: self.line,
        });
        self.ignore();
    }

    fn ignore(&mut self) {
        self.line = self.line_at(self.position);
        self.start = self.position;
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(offset) = self.rest().find(LEFT) {
            self.text(offset);
            self.action()?;
        }
        self.position = self.input.len();
        if self.position > self.start {
            self.emit(Kind::Text);
        }
        self.emit(Kind::End);
        Ok(())
    }

    /// Emits the text before a `{{`, without its trailing blanks where the action trims them.
    fn text(&mut self, length: usize) {
        let after = &self.rest()[length + LEFT.len()..];
        let text = &self.rest()[..length];
        let kept = if left_trim(after) {
            text.trim_end_matches(is_space)
        } else {
            text
        };
        let end = self.position + length;
        self.position += kept.len();
        if self.position > self.start {
            self.emit(Kind::Text);
        }
        self.position = end;
        self.ignore();
    }

    fn action(&mut self) -> Result<(), String> {
        self.position += LEFT.len();
        let trim = left_trim(self.rest());
        let marker = if trim { 2 } else { 0 };
        if self.rest()[marker..].starts_with(COMMENT_START) {
            self.position += marker;
            self.ignore();
            return self.comment();
        }
        self.emit(Kind::LeftDelimiter);
        self.position += marker;
        self.ignore();
        self.parentheses = 0;
        while !self.right_delimiter()? {
            self.inside()?;
        }
        Ok(())
    }

    fn comment(&mut self) -> Result<(), String> {
        let Some(end) = self.rest()[COMMENT_START.len()..].find(COMMENT_END) else {
            return Err("unclosed comment".to_owned());
        };
        self.position += COMMENT_START.len() + end + COMMENT_END.len();
        let trim = is_right_trim(self.rest());
        if !trim && !self.rest().starts_with(RIGHT) {
            return Err("comment ends before closing delimiter".to_owned());
        }
        self.close(trim);
        Ok(())
    }

    /// Moves behind the closing braces, and behind the blanks after them where they are trimmed.
    fn close(&mut self, trim: bool) {
        self.position += RIGHT.len() + if trim { 2 } else { 0 };
        if trim {
            self.skip_while(is_space);
        }
        self.ignore();
    }

    fn right_delimiter(&mut self) -> Result<bool, String> {
        let trim = is_right_trim(self.rest());
        if !trim && !self.rest().starts_with(RIGHT) {
            return Ok(false);
        }
        if self.parentheses > 0 {
            return Err("unclosed left paren".to_owned());
        }
        if trim {
            self.position += 2;
            self.ignore();
        }
        self.position += RIGHT.len();
        self.emit(Kind::RightDelimiter);
        if trim {
            self.skip_while(is_space);
            self.ignore();
        }
        Ok(true)
    }

    fn inside(&mut self) -> Result<(), String> {
        let Some(character) = self.next() else {
            return Err("unclosed action".to_owned());
        };
        match character {
            _ if is_space(character) => {
                // The blank before `-}}` belongs to the trim marker.
                while self.peek().is_some_and(is_space) && !is_right_trim(self.rest()) {
                    self.next();
                }
                self.emit(Kind::Space);
            }
            '=' => self.emit(Kind::Assign),
            ':' if self.next() == Some('=') => self.emit(Kind::Declare),
            ':' => return Err("expected :=".to_owned()),
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string")?,
            '\'' => self.quoted('\'', Kind::Character, "unterminated character constant")?,
            '`' => {
                self.skip_while(|character| character != '`');
                if self.next().is_none() {
                    return Err("unterminated raw quoted string".to_owned());
                }
                self.emit(Kind::RawString);
            }
            '$' => self.name(Kind::Variable, Kind::Variable)?,
            '.' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => {
                self.name(Kind::Field, Kind::Dot)?;
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.skip_while(|character| is_word(character) || character == '.');
                self.emit(Kind::Number);
            }
            _ if is_word(character) => self.word()?,
            '(' => {
                self.parentheses += 1;
                self.emit(Kind::LeftParenthesis);
            }
            ')' => {
                let Some(open) = self.parentheses.checked_sub(1) else {
                    return Err("unexpected right paren".to_owned());
                };
                self.parentheses = open;
                self.emit(Kind::RightParenthesis);
            }
            ' '..='~' => self.emit(Kind::Other),
            _ => {
                return Err(format!(
                    "unrecognized character in action: {}",
                    code_point(character)
                ));
            }
        }
        Ok(())
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<(), String> {
        loop {
            match self.next() {
                Some('\\') if self.peek().is_some_and(|next| next != '\n') => {
                    self.next();
                }
                None | Some('\n' | '\\') => return Err(unterminated.to_owned()),
                Some(character) if character == quote => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    /// The name after a `.` or `$`; the sign alone is a token of its own.
    fn name(&mut self, kind: Kind, alone: Kind) -> Result<(), String> {
        if self.at_terminator() {
            self.emit(alone);
            return Ok(());
        }
        self.skip_while(is_word);
        self.require_terminator()?;
        self.emit(kind);
        Ok(())
    }

    fn word(&mut self) -> Result<(), String> {
        self.skip_while(is_word);
        self.require_terminator()?;
        let kind = match &self.input[self.start..self.position] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.emit(kind);
        Ok(())
    }

    fn at_terminator(&self) -> bool {
        self.peek().is_none_or(|next| {
            is_space(next)
                || matches!(next, '.' | ',' | '|' | ':' | ')' | '(')
                || self.rest().starts_with(RIGHT)
        })
    }

    fn require_terminator(&self) -> Result<(), String> {
        match self.peek() {
            Some(next) if !self.at_terminator() => {
                Err(format!("bad character {}", code_point(next)))
            }
            _ => Ok(()),
        }
    }
}

/// The text behind `{{` starts with a trim marker: a minus and a blank.
fn left_trim(after: &str) -> bool {
    after
        .strip_prefix('-')
        .and_then(|rest| rest.chars().next())
        .is_some_and(is_space)
}

fn count_lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// Go's `%#U`.
fn code_point(character: char) -> String {
    let number = u32::from(character);
    if character.is_control() {
        format!("U+{number:04X}")
    } else {
        format!("U+{number:04X} '{character}'")
    }
}
