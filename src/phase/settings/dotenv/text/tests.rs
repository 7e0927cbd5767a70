use super::*;
use proptest::prelude::*;

fn values(text: &str, env: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    let env: Vec<_> = env.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
    let mut found: Vec<Binding> = parse(text)
        .into_iter()
        .filter_map(|statement| match statement {
            Statement::Binding(binding) => Some(binding),
            Statement::Nonsense(_) => None,
        })
        .collect();
    expand(&mut found, &env, |key| key == "secret");
    found.into_iter().map(|binding| (binding.key, binding.value)).collect()
}

#[test]
fn values_are_read_as_python_dotenv_reads_them() {
    for (text, value) in [
        ("k=v", "v"),
        ("export k = v  ", "v"),
        ("exportk=v", ""),
        ("'k'=v", "v"),
        ("k=a#b", "a#b"),
        ("k=a #b", "a"),
        ("k=a\t# b # c", "a"),
        ("k=#b", "#b"),
        ("k= # b", ""),
        ("k=", ""),
        ("k=''", ""),
        ("k='a b' # c", "a b"),
        ("k=\"a \\\"b\\\" \\n\\x\"", "a \"b\" \n\\x"),
        ("k='a\\'b\\n'", "a'b\\n"),
        ("k=\"one\ntwo\"", "one\ntwo"),
        ("k=a\\nb", "a\\nb"),
        ("k=a=b", "a=b"),
        ("\u{feff}k=v", "v"),
        ("# c\n\n  k=v\r\nother=1", "v"),
    ] {
        let found = values(text, &[]);
        let found = found.iter().find(|(key, _)| key == "k").and_then(|(_, value)| value.clone());
        assert_eq!(found.unwrap_or_default(), value, "{text:?}");
    }
}

#[test]
fn what_cannot_be_understood_is_named_by_its_line_and_the_rest_is_read() {
    let text = "a=1\n'b'x=2\nc=\"open\nd='x'y\n=5\ne=6\nf\n";
    let found = parse(text);
    let nonsense: Vec<_> =
        found.iter().filter_map(|s| if let Statement::Nonsense(line) = s { Some(*line) } else { None }).collect();
    assert_eq!(nonsense, [2, 3, 4, 5]);
    let keys = values(text, &[]);
    assert_eq!(keys.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "e", "f"]);
    assert_eq!(keys[2].1, None);
}

#[test]
fn lines_are_counted_over_values_of_several_lines() {
    let Statement::Binding(last) = parse("a=\"1\n2\r\n3\"\r\n\r\nb=x").pop().unwrap() else { panic!() };
    assert_eq!((last.key.as_str(), last.line), ("b", 5));
}

#[test]
fn variables_come_from_the_file_then_the_environment_then_the_default() {
    let env = [("HOST", "h"), ("a", "env")];
    for (text, value) in [
        ("k=${HOST}", "h"),
        ("k='${HOST}'", "h"),
        ("a=file\nk=${a}", "file"),
        ("k=${a}", "env"),
        ("k=x${NONE}y", "xy"),
        ("k=${NONE:-d}", "d"),
        ("k=${HOST:-d}", "h"),
        ("k=${NONE:-}", ""),
        ("k=$HOST", "$HOST"),
        ("k=${HOST", "${HOST"),
        ("k=${a:x}${HOST}", "${a:x}h"),
        ("k=${}", ""),
    ] {
        let found = values(text, &env).pop().unwrap().1.unwrap();
        assert_eq!(found, value, "{text}");
    }
}

/// W43: `${..}` in secrets is expanded.
#[test]
fn w43_a_secret_is_taken_as_it_stands() {
    assert_eq!(values("secret=a${HOST}b", &[("HOST", "h")])[0].1.as_deref(), Some("a${HOST}b"));
    assert!(has_variable("a${HOST}b") && !has_variable("a$b{c}"));
}

proptest! {
    #[test]
    fn no_text_upsets_it(text in "[a-c=#'\"\\\\ \n\r\t${}:é-]{0,60}") {
        let _ = values(&text, &[("a", "1")]);
    }

    #[test]
    fn what_is_quoted_comes_back(value in "[^'\\\\$]{0,30}") {
        let found = values(&format!("k='{value}'"), &[]);
        prop_assert_eq!(found[0].1.as_deref(), Some(value.as_str()));
    }
}
