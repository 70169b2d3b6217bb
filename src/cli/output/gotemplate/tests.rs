//! Expected texts follow the documentation of Go's `text/template` and `fmt`, and the messages in its sources.

use proptest::prelude::*;

use super::*;

fn structure(type_name: &'static str, fields: Vec<(&'static str, Value)>) -> Value {
    let fields = fields
        .into_iter()
        .map(|(name, value)| Field::new(name, value))
        .collect();
    Value::Struct(Struct { type_name, fields })
}

fn data() -> Value {
    structure(
        "main.Data",
        vec![
            ("Name", "first machine".into()),
            ("Empty", "".into()),
            ("CPUs", 4_u64.into()),
            ("Port", (-1_i64).into()),
            ("Yes", true.into()),
            ("No", false.into()),
            (
                "Nested",
                structure("main.Nested", vec![("Path", "/a/b".into())]),
            ),
            (
                "Missing",
                Value::NilPointer {
                    type_name: "*main.Nested",
                    fields: &["Path"],
                },
            ),
            ("None", list(&[])),
            ("Words", list(&["a", "b", "c"])),
            (
                "Map",
                Value::Map(vec![
                    ("k".to_owned(), "v".into()),
                    ("l".to_owned(), "w".into()),
                ]),
            ),
        ],
    )
}

fn list(items: &[&str]) -> Value {
    Value::List {
        type_name: "[]string",
        items: items.iter().map(|item| Value::from(*item)).collect(),
    }
}

fn render(text: &str) -> String {
    match Template::parse("t", text).and_then(|template| template.execute(&data())) {
        Ok(output) => output,
        Err(error) => error.to_string(),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(render(text), *expected, "{text}");
    }
}

#[test]
fn values() {
    check(&[
        ("", ""),
        ("plain } text }} {", "plain } text }} {"),
        ("{{.Name}}", "first machine"),
        ("{{ .CPUs }}/{{.Port}}/{{.Yes}}", "4/-1/true"),
        ("{{.Nested.Path}}", "/a/b"),
        ("{{.Nested}}", "{/a/b}"),
        ("{{.Missing}}", "<nil>"),
        ("{{.Words}} {{.None}}", "[a b c] []"),
        (
            "{{.Map}} {{.Map.k}} {{.Map.x}}",
            "map[k:v l:w] v <no value>",
        ),
        (r#"{{"a\tb\"\u00e4\x41"}} {{`raw\t`}}"#, "a\tb\"äA raw\\t"),
        (
            "{{1}} {{-12}} {{0x1F}} {{1_000}} {{'a'}} {{017}}",
            "1 -12 31 1000 97 15",
        ),
        ("{{true}} {{false}}", "true false"),
        (
            "{{$}}",
            "{first machine  4 -1 true false {/a/b} <nil> [] [a b c] map[k:v l:w]}",
        ),
        ("{{(.Nested).Path}} {{$.Nested.Path}}", "/a/b /a/b"),
    ]);
}

#[test]
fn trim_markers_and_comments() {
    check(&[
        ("a  {{- 1 -}}  b", "a1b"),
        ("a  {{- 1}}  b", "a1  b"),
        ("a \n{{1 -}}\n\t b", "a \n1b"),
        ("a {{/* a comment */}} b", "a  b"),
        ("a {{- /* a comment */ -}} b", "ab"),
        ("{{-1}}", "-1"),
        ("{{3 -}} x", "3x"),
    ]);
}

#[test]
fn control() {
    check(&[
        ("{{if .Yes}}y{{else}}n{{end}}", "y"),
        ("{{if .No}}y{{else}}n{{end}}", "n"),
        ("{{if .Missing}}y{{end}}", ""),
        ("{{if .No}}1{{else if .Yes}}2{{else}}3{{end}}", "2"),
        ("{{if .No}}1{{else if .Empty}}2{{else}}3{{end}}.", "3."),
        ("{{with .Nested}}{{.Path}}{{end}}", "/a/b"),
        ("{{with .Missing}}{{.Path}}{{else}}none{{end}}", "none"),
        (
            "{{with .Missing}}1{{else with .Nested}}{{.Path}}{{end}}",
            "/a/b",
        ),
        ("{{range .Words}}<{{.}}>{{end}}", "<a><b><c>"),
        ("{{range .None}}x{{else}}empty{{end}}", "empty"),
        (
            "{{range $i, $w := .Words}}{{$i}}{{$w}} {{end}}",
            "0a 1b 2c ",
        ),
        ("{{range $w := .Words}}{{$w}}{{end}}", "abc"),
        ("{{range $k, $v := .Map}}{{$k}}={{$v}};{{end}}", "k=v;l=w;"),
        (
            "{{range .Words}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}",
            "a",
        ),
        (
            "{{range .Words}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}",
            "ac",
        ),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{$x := 1}}{{if true}}{{$x := 2}}{{end}}{{$x}}", "1"),
        ("{{range .Words}}{{$.CPUs}}{{end}}", "444"),
        ("{{with $x := .Name}}{{$x}}{{end}}", "first machine"),
    ]);
}

#[test]
fn functions() {
    check(&[
        (
            "{{upper .Name}} {{.Name | lower}} {{title .Name}}",
            "FIRST MACHINE first machine First Machine",
        ),
        (
            "{{json .Words}} {{json .Name}} {{json .Missing}}",
            r#"["a","b","c"] "first machine" null"#,
        ),
        ("{{json .Nested}}", r#"{"Path":"/a/b"}"#),
        ("{{join .Words \"-\"}}", "a-b-c"),
        ("{{split \"a,b\" \",\"}}", "[a b]"),
        ("{{pad .Name 1 2}}|{{pad .Empty 3 3}}", " first machine  |"),
        (
            "{{truncate .Name 5}} {{truncate .Name 99}}",
            "first first machine",
        ),
        ("{{len .Words}} {{len .Name}} {{len .Map}}", "3 13 2"),
        ("{{index .Words 1}} {{index .Map \"l\"}}", "b w"),
        (
            "{{eq .CPUs 4}} {{eq .Name \"x\" \"first machine\"}} {{ne 1 2}}",
            "true true true",
        ),
        (
            "{{lt 1 2}} {{le 2 2}} {{gt .CPUs 4}} {{ge \"b\" \"a\"}}",
            "true true false true",
        ),
        (
            "{{and .Yes .Empty}}|{{or .Empty .Name}}|{{not .Yes}}",
            "|first machine|false",
        ),
        (
            "{{or .Yes (index .Words 9)}} {{and .No (index .Words 9)}}",
            "true false",
        ),
        (
            "{{print 1 2 \"a\" 3 true}} {{println 1 \"a\"}}",
            "1 2a3 true 1 a\n",
        ),
        (
            "{{.Name | printf \"%s-%d\" \"x\"}}",
            "x-%!d(string=first machine)",
        ),
        ("{{(len .Words) | printf \"%03d\"}}", "003"),
        ("{{upper (truncate .Name 5) | printf \"%q\"}}", "\"FIRST\""),
    ]);
}

#[test]
fn printf_verbs() {
    check(&[
        (
            r#"{{printf "%s|%v|%q" .Name .CPUs "a\n"}}"#,
            r#"first machine|4|"a\n""#,
        ),
        (
            r#"{{printf "%-6s|%6s|%.2s" "ab" "ab" "abc"}}"#,
            "ab    |    ab|ab",
        ),
        (
            r#"{{printf "%5d|%-5d|%05d|%+d|%x|%#x" 42 42 -42 42 255 255}}"#,
            "   42|42   |-0042|+42|ff|0xff",
        ),
        (
            r#"{{printf "%t %T %v" .Yes .CPUs .Words}}"#,
            "true uint64 [a b c]",
        ),
        (r#"{{printf "100%% %d"}}"#, "100% %!d(MISSING)"),
        (
            r#"{{printf "%d" "a"}} {{printf "x" 1}} {{printf "%"}}"#,
            "%!d(string=a) x%!(EXTRA int=1) %!(NOVERB)",
        ),
    ]);
}

#[test]
fn mistakes_in_the_text() {
    check(&[
        ("{{.Name", "template: t:1: unclosed action"),
        ("a\n{{.Name\n}}\n{{", "template: t:4: unclosed action"),
        ("{{.Name\n", "template: t:2: unclosed action started at t:1"),
        ("{{}}", "template: t:1: missing value for command"),
        ("{{if}}x{{end}}", "template: t:1: missing value for if"),
        ("{{foo}}", "template: t:1: function \"foo\" not defined"),
        ("{{end}}", "template: t:1: unexpected {{end}}"),
        ("{{else}}", "template: t:1: unexpected {{else}}"),
        ("{{if .Yes}}", "template: t:1: unexpected EOF"),
        ("{{range .Words}}\n", "template: t:2: unexpected EOF"),
        ("{{break}}", "template: t:1: {{break}} outside {{range}}"),
        ("{{$x}}", "template: t:1: undefined variable \"$x\""),
        ("{{\"a}}", "template: t:1: unterminated quoted string"),
        ("{{`a}}", "template: t:1: unterminated raw quoted string"),
        ("{{(1}}", "template: t:1: unclosed left paren"),
        ("{{1)}}", "template: t:1: unexpected right paren"),
        ("{{.a@}}", "template: t:1: bad character U+0040 '@'"),
        (
            "{{1 | 2}}",
            "template: t:1: non executable command in pipeline stage 2",
        ),
        ("{{/* a }}", "template: t:1: unclosed comment"),
        (
            "{{/* a */ b}}",
            "template: t:1: comment ends before closing delimiter",
        ),
        ("{{1.5}}", "template: t:1: bad number syntax: \"1.5\""),
        ("{{.Name }", "template: t:1: unexpected \"}\" in operand"),
        ("{{ , }}", "template: t:1: unexpected \",\" in command"),
        (
            "{{nil.Foo}}",
            "template: t:1: unexpected . after term \"nil\"",
        ),
        (
            "{{if .Yes}}1{{else}}2{{else}}3{{end}}",
            "template: t:1: expected end; found {{else}}",
        ),
        (
            "{{define \"x\"}}{{end}}",
            "template: t:1: {{define}} is not supported here",
        ),
    ]);
}

#[test]
fn mistakes_in_the_use() {
    check(&[
        (
            "{{.Abcde}}",
            r#"template: t:1:2: executing "t" at <.Abcde>: can't evaluate field Abcde in type main.Data"#,
        ),
        (
            "a\nbc {{ .Nested.Foo }}",
            r#"template: t:2:13: executing "t" at <.Nested.Foo>: can't evaluate field Foo in type main.Nested"#,
        ),
        (
            "{{.Missing.Path}}",
            r#"template: t:1:10: executing "t" at <.Missing.Path>: nil pointer evaluating *main.Nested.Path"#,
        ),
        (
            "{{.Missing.Foo}}",
            r#"template: t:1:10: executing "t" at <.Missing.Foo>: can't evaluate field Foo in type *main.Nested"#,
        ),
        (
            "{{.Name.Foo}}",
            r#"template: t:1:7: executing "t" at <.Name.Foo>: can't evaluate field Foo in type string"#,
        ),
        (
            "{{.Name 1}}",
            r#"template: t:1:2: executing "t" at <.Name>: Name has arguments but cannot be invoked as function"#,
        ),
        (
            "{{range .CPUs}}{{end}}",
            r#"template: t:1:8: executing "t" at <.CPUs>: range can't iterate over 4"#,
        ),
        (
            "{{truncate .Name}}",
            r#"template: t:1:2: executing "t" at <truncate>: wrong number of args for truncate: want 2 got 1"#,
        ),
        (
            "{{upper .CPUs}}",
            r#"template: t:1:8: executing "t" at <.CPUs>: wrong type for value; expected string; got uint64"#,
        ),
        (
            "{{upper 3}}",
            r#"template: t:1:8: executing "t" at <3>: expected string; found 3"#,
        ),
        (
            "{{index .Words 5}}",
            r#"template: t:1:2: executing "t" at <index .Words 5>: error calling index: index out of range: 5"#,
        ),
        (
            "{{eq .Name 1}}",
            r#"template: t:1:2: executing "t" at <eq .Name 1>: error calling eq: incompatible types for comparison"#,
        ),
        (
            "{{nil}}",
            r#"template: t:1:2: executing "t" at <nil>: nil is not a command"#,
        ),
        (
            "{{1 2}}",
            r#"template: t:1:2: executing "t" at <1>: can't give argument to non-function 1"#,
        ),
    ]);
}

#[test]
fn a_template_cannot_exhaust_the_host() {
    let deep = "(".repeat(100_000) + &")".repeat(100_000);
    assert!(render(&format!("{{{{{deep}}}}}")).ends_with("nested more than 64 levels deep"));
    let deep = "{{if .Yes}}".repeat(100_000);
    assert!(render(&deep).ends_with("nested more than 64 levels deep"));
    let chain =
        "{{if .No}}{{else if .No}}".to_owned() + &"{{else if .No}}".repeat(100_000) + "{{end}}";
    assert!(render(&chain).ends_with("nested more than 64 levels deep"));
    let wide = "{{range $.Words}}".repeat(20) + &"{{end}}".repeat(20);
    assert!(render(&wide).contains("more than 1000000 steps"));
    assert!(render("{{pad .Name 9000000000 0}}").contains("error calling pad: more than"));
    assert!(render("{{printf \"%9000000000d\" 1}}").starts_with("%!(BADWIDTH)"));
    let doubled = "{{$x := .Name}}".to_owned() + &"{{$x = print $x $x}}".repeat(60) + "{{len $x}}";
    assert!(
        render(&doubled).contains("more than"),
        "{}",
        render(&doubled)
    );
}

fn pieces() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "{{",
        "}}",
        "{{-",
        "-}}",
        " ",
        "\n",
        "\t",
        ".",
        ".Name",
        ".Words",
        ".Missing",
        ".Nested.Path",
        "$",
        "$x",
        ":=",
        "=",
        "|",
        "(",
        ")",
        ",",
        "\"a\"",
        "`b`",
        "'c'",
        "\\",
        "\"",
        "1",
        "-1",
        "0x",
        "1.5",
        "if",
        "else",
        "end",
        "range",
        "with",
        "break",
        "continue",
        "nil",
        "true",
        "len",
        "index",
        "printf",
        "pad",
        "join",
        "json",
        "eq",
        "and",
        "/*",
        "*/",
        "ä",
        "%d",
        "%-9999s",
        "@",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        render(&text);
    }

    #[test]
    fn no_pieces_panic(text in pieces()) {
        render(&text);
    }

    #[test]
    fn text_without_braces_is_itself(text in "[^{}]*") {
        prop_assert_eq!(render(&text), text);
    }

    #[test]
    fn a_quoted_text_comes_back(text in "\\PC*") {
        let quoted = literal::quote(&text);
        prop_assert_eq!(render(&format!("{{{{{quoted}}}}}")), text);
    }
}
