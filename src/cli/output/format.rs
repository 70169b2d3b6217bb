//! The `--format` option: podman's rules around Go templates.
//!
//! | given | meaning |
//! |---|---|
//! | `json`, `{{json}}`, `{{json.}}` | JSON (not for `inspect`) |
//! | `table …` | a header row and aligned columns; blanks become tabs |
//! | anything else | a template; without a `{{range .}}` of its own it is used on each element |

use super::gotemplate::{Template, TemplateError, Value};
use super::table;

const TABLE_PREFIX: &str = "table ";

/// Does the value of `--format` ask for JSON?
pub fn is_json(format: &str) -> bool {
    let format = format.trim();
    if format == "json" {
        return true;
    }
    let Some(inner) = format
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
    else {
        return false;
    };
    matches!(inner.trim(), "json" | "json.")
}

/// How a report is to be written.
#[derive(Debug)]
pub struct Report {
    template: Template,
    table: bool,
}

impl Report {
    /// A format that the user gave to the command `name`.
    pub fn user(name: &str, format: &str) -> Result<Self, TemplateError> {
        if let Some(columns) = format.strip_prefix(TABLE_PREFIX) {
            let row = unescape(columns).replace(' ', "\t");
            Template::parse(name, &each(&row))?;
            let row = end_line(row);
            return Ok(Self {
                template: Template::parse(name, &each(&row))?,
                table: true,
            });
        }
        let text = unescape(format);
        let whole = |text: String| if has_range(&text) { text } else { each(&text) };
        // Podman's errors are about the text as it was given, before its line is ended.
        Template::parse(name, &whole(text.clone()))?;
        Ok(Self {
            template: Template::parse(name, &whole(end_line(text)))?,
            table: false,
        })
    }

    /// A format that the user gave to the command `name`, which shows one object: it is used on that alone.
    pub fn single(name: &str, format: &str) -> Result<Self, TemplateError> {
        Ok(Self {
            template: Template::parse(name, &end_line(unescape(format)))?,
            table: false,
        })
    }

    /// The command's own table of these fields.
    pub fn columns(name: &str, fields: &[&str]) -> Result<Self, TemplateError> {
        let cells: Vec<String> = fields
            .iter()
            .map(|field| format!("{{{{.{field}}}}}"))
            .collect();
        Ok(Self {
            template: Template::parse(name, &each(&(cells.join("\t") + "\n")))?,
            table: true,
        })
    }

    /// Renders `rows`, below `headers` where the report is a table that has them.
    pub fn render(&self, headers: Option<&Value>, rows: &Value) -> Result<String, TemplateError> {
        if !self.table {
            return self.template.execute(rows);
        }
        let mut text = match headers {
            Some(headers) => self.template.execute(headers)?,
            None => String::new(),
        };
        text.push_str(&self.template.execute(rows)?);
        Ok(table::align(&text))
    }
}

/// The header row: every field's name in words and upper case, or what `overrides` says.
pub fn headers(fields: &[&str], overrides: &[(&str, &str)]) -> Value {
    let row = fields.iter().map(|field| {
        let given = overrides.iter().find(|(name, _)| name == field);
        let header = given.map_or_else(|| words(field), |(_, header)| (*header).to_owned());
        ((*field).to_owned(), Value::from(header.to_uppercase()))
    });
    Value::List {
        type_name: "[]map[string]string",
        items: vec![Value::Map(row.collect())],
    }
}

fn unescape(format: &str) -> String {
    format.replace("\\t", "\t").replace("\\n", "\n")
}

fn end_line(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn each(text: &str) -> String {
    format!("{{{{range .}}}}{text}{{{{end -}}}}")
}

/// `{{range .}}` with an `{{end}}` somewhere behind it, blanks aside.
fn has_range(text: &str) -> bool {
    let compact: String = text
        .chars()
        .filter(|next| !next.is_ascii_whitespace())
        .collect();
    match compact.find("{{range.}}") {
        Some(start) => {
            compact[start..].contains("{{end}}") || compact[start..].contains("{{end-}}")
        }
        None => false,
    }
}

/// Splits camel case: `VMType` is `VM Type`, as the name of a Go field.
fn words(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut words = String::new();
    for (index, character) in characters.iter().enumerate() {
        let after_lower = index > 0 && characters[index - 1].is_lowercase();
        let before_lower = characters
            .get(index + 1)
            .is_some_and(|next| next.is_lowercase());
        let starts = character.is_uppercase() && (after_lower || before_lower);
        if index > 0 && starts {
            words.push(' ');
        }
        words.push(*character);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::gotemplate::{Field, Struct};

    fn rows() -> Value {
        let row = |name: &str, cpus: u64| {
            Value::Struct(Struct {
                type_name: "*entities.ListReporter",
                fields: vec![Field::new("Name", name), Field::new("CPUs", cpus)],
            })
        };
        Value::List {
            type_name: "[]*entities.ListReporter",
            items: vec![row("first", 2), row("second", 4)],
        }
    }

    fn render(format: &str) -> String {
        let headers = headers(&["Name", "CPUs"], &[("CPUs", "CPUs")]);
        Report::user("list", format)
            .and_then(|report| report.render(Some(&headers), &rows()))
            .unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn json_words() {
        for format in [
            "json",
            " json ",
            "{{json}}",
            "{{ json }}",
            "{{json.}}",
            "{{ json. }}",
        ] {
            assert!(is_json(format), "{format}");
        }
        for format in [
            "JSON",
            "{{json .}}",
            "{{json . }}",
            "{{json .Name}}",
            "json .",
            "{{.json}}",
            "",
        ] {
            assert!(!is_json(format), "{format}");
        }
    }

    #[test]
    fn formats() {
        let cases = [
            ("{{.Name}}", "first\nsecond\n"),
            ("{{.Name}}\\n", "first\nsecond\n"),
            (r"{{.Name}}\t{{.CPUs}}", "first\t2\nsecond\t4\n"),
            ("{{range .}}{{.Name}},{{end}}", "first,second,\n"),
            ("{{ range . }}{{.Name}};{{ end -}}", "first;second;"),
            ("{{len .}}{{range .}}{{end}}", "2\n"),
            (
                "table {{.Name}} {{.CPUs}}",
                "NAME        CPUS\nfirst       2\nsecond      4\n",
            ),
            (
                r"table {{ .Name }}\t{{ .CPUs }}",
                "NAME        CPUS\nfirst       2\nsecond      4\n",
            ),
            ("", "\n\n"),
        ];
        for (format, expected) in cases {
            assert_eq!(render(format), expected, "{format}");
        }
    }

    #[test]
    fn a_bad_field_is_gos_text() {
        assert_eq!(
            render("{{.Abcde}}"),
            r#"template: list:1:13: executing "list" at <.Abcde>: can't evaluate field Abcde in type *entities.ListReporter"#
        );
    }

    #[test]
    fn header_words() {
        let cases = [
            ("Name", "Name"),
            ("VMType", "VM Type"),
            ("UserModeNetworking", "User Mode Networking"),
            ("IdentityPath", "Identity Path"),
            ("LastUp", "Last Up"),
        ];
        for (name, expected) in cases {
            assert_eq!(words(name), expected);
        }
    }
}
