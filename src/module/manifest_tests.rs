use super::*;
use proptest::prelude::*;

/// The example of the Updates Orchestrator's own document, with the modules that it leaves out.
const SEED: &str = include_str!("../../tests/golden/modules/seed.json");

fn words(text: &str) -> String {
    Manifest::parse(text, "m.json").unwrap_err().to_string()
}

fn one(fields: &str) -> String {
    format!("{{\"updates\": [\n  {{\"name\": \"a\", {fields}}}\n]}}")
}

#[test]
fn the_orchestrators_own_example_is_read_as_documented() {
    let manifest = Manifest::parse(SEED, "m.json").unwrap();
    assert_eq!(manifest.entrypoint, Some(4));
    assert_eq!(manifest.modules[4].children, [0, 1, 2, 3]);
    let first = &manifest.modules[0];
    assert_eq!(first.version.as_ref().unwrap().as_str(), "1.0.0");
    assert_eq!(crate::sys::clock::stamp(first.last_applied.unwrap()), "2024-06-10T15:23:00Z");
    assert!(first.enabled && manifest.modules[1].enabled, "what does not say otherwise is enabled");
}

#[test]
fn our_own_keys_are_read() {
    let text = one(
        r#""requires": [], "timeout": "15m", "resources": {"memory": "512M", "cpu": 1.5}, "health": "./check --quick",
           "soak_days": 7, "version": "1", "children": null"#,
    );
    let module = &Manifest::parse(&text, "m.json").unwrap().modules[0];
    assert_eq!(module.timeout, Some(Duration::from_mins(15)));
    assert_eq!(module.resources, Resources { memory: Some(512 << 20), cpu: Some(150) });
    assert_eq!(module.health, Some(vec!["./check".into(), "--quick".into()]));
    assert_eq!(module.soak_days, Some(7));
}

#[test]
fn whatever_is_wrong_is_told_with_line_and_column() {
    for (text, expected) in [
        ("", "m.json:1:0: it is not JSON"),
        ("{\"updates\": [\n  {\"name\": \"a\",}]}", "m.json:2:16: it is not JSON: key must be a string"),
        ("{\"updates\": [] // all\n}", "m.json:1:16: it is not JSON"),
        ("[]", "m.json:1:1: a manifest is an object"),
        ("{}", "m.json:1:1: key updates is missing"),
        ("{\"updates\": {}}", "m.json:1:13: updates: it must be a list"),
        (
            "{\"updates\": [],\n \"entrypiont\": \"a\"}",
            "m.json:2:2: unknown key \"entrypiont\"; did you mean entrypoint?",
        ),
        ("{\"updates\": [], \"entrypoint\": \"a\"}", "m.json:1:31: entrypoint: there is no module \"a\""),
        ("{\"updates\": [7]}", "m.json:1:14: a module is an object"),
        ("{\"updates\": [{}]}", "m.json:1:14: key name is missing"),
        ("{\"updates\": [{\"name\": \"../etc\"}]}", "m.json:1:23: name: \"../etc\" is no name for a module"),
        ("{\"updates\": [{\"name\": \"/etc\"}]}", "m.json:1:23: name: \"/etc\" is no name"),
        ("{\"updates\": [{\"name\": null}]}", "m.json:1:23: name: it must be a text"),
        ("{\"updates\": [{\"name\": \"a\"},\n{\"name\": \"a\"}]}", "m.json:2:10: module a is there twice"),
    ] {
        let words = words(text);
        assert!(words.starts_with(expected), "{words}");
    }
}

#[test]
fn every_field_with_a_wrong_value_is_told() {
    for (fields, word) in [
        ("\"version\": 1", "text or null"),
        ("\"version\": \"v1\"", "no version"),
        ("\"checksum\": \"abc\"", "64 lower-case"),
        ("\"lastApplied\": \"yesterday\"", "cannot read time"),
        ("\"enabled\": \"yes\"", "true or false"),
        ("\"children\": \"b\"", "list of names"),
        ("\"children\": [7]", "list of names"),
        ("\"children\": [\"b\"]", "there is no module \"b\""),
        ("\"requires\": [\"b\"]", "there is no module \"b\""),
        ("\"timeout\": \"soon\"", "duration"),
        ("\"timeout\": 0", "no time at all"),
        ("\"timeout\": -1", "duration"),
        ("\"resources\": 7", "object like"),
        ("\"resources\": {\"disk\": 1}", "unknown key \"disk\""),
        ("\"resources\": {\"memory\": \"lots\"}", "no size"),
        ("\"resources\": {\"memory\": 100}", "less than 1M"),
        ("\"resources\": {\"cpu\": 0}", "processors"),
        ("\"resources\": {\"cpu\": 1e3}", "processors"),
        ("\"resources\": {\"cpu\": 0.001}", "processors"),
        ("\"health\": \"\"", "command"),
        ("\"health\": [\"a\", 1]", "command"),
        ("\"soak_days\": 1.5", "whole number"),
        ("\"soak_days\": 1", "without a version"),
        ("\"enabled\": true, \"enabled\": false", "key enabled is there twice"),
        ("\"lastsafeVersion\": null", "did you mean lastSafeVersion?"),
    ] {
        let words = words(&one(fields));
        assert!(words.starts_with("m.json:2:") && words.contains(word), "{fields}: {words}");
    }
}

#[test]
fn a_circle_is_shown_as_a_path() {
    let text = r#"{"updates": [{"name": "z"},
      {"name": "a", "children": ["b"]}, {"name": "b", "requires": ["c"]}, {"name": "c", "children": ["a"]}]}"#;
    let words = words(text);
    assert!(words.starts_with("m.json:2:16: "), "{words}");
    assert!(words.contains("a -> b -> c -> a"), "{words}");
}

#[test]
fn what_is_right_is_read_in_one_pass() {
    let ours = one(
        r#""requires": [], "timeout": 90, "resources": {"memory": "512M", "cpu": 1.50}, "health": ["./check", "a b"]"#,
    );
    for text in [SEED, "{\"updates\": []}", &ours] {
        assert_eq!(quick::read(text), Manifest::parse_with_places(text, "m").ok());
    }
}

/// Keys and values of a module, right and wrong.
const KEYS: &[&str] =
    &["version", "enabled", "children", "requires", "timeout", "resources", "health", "soak_days", "x"];
const VALUES: &[&str] = &[
    "null",
    "true",
    "\"1.0\"",
    "\"b\"",
    "\"\\u0062\"",
    "7",
    "1.5",
    "1e2",
    "-1",
    "[]",
    "[\"a\"]",
    "[\"b\"]",
    "[\"b\", \"b\"]",
    "{}",
    "{\"cpu\": 1e2}",
    "{\"cpu\": 1.50}",
    "{\"memory\": 2000000, \"cpu\": null}",
    "{\"cpu\": 1, \"cpu\": 1}",
    "[\"64M\", 1]",
    "[\"b\", null, null, null, null, null, null, null, null, null, null, null, null]",
];

fn module(name: &str, fields: &[(usize, usize)]) -> String {
    let field = |(key, value): &(usize, usize)| format!(", \"{}\": {}", KEYS[*key], VALUES[*value]);
    format!("{{\"name\": \"{name}\"{}}}", fields.iter().map(field).collect::<String>())
}

proptest! {
    #[test]
    fn what_one_pass_takes_is_what_the_careful_reading_finds(
        fields in proptest::collection::vec(proptest::collection::vec((0..KEYS.len(), 0..VALUES.len()), 0..3), 2),
        entrypoint in 0..VALUES.len(),
        third in 0..VALUES.len(),
    ) {
        let (a, b) = (module("a", &fields[0]), module("b", &fields[1]));
        for text in [
            format!("{{\"updates\": [{a}, {b}]}}"),
            format!("{{\"entrypoint\": {}, \"updates\": [{b}, {a}]}}", VALUES[entrypoint]),
            format!("{{\"updates\": [{b}, {}]}}", VALUES[third]),
            format!("[[{a}], {}]", VALUES[entrypoint]),
        ] {
            if let Some(quick) = quick::read(&text) {
                let careful = read::read(&text, "m").map(|(manifest, _)| manifest);
                prop_assert_eq!(careful.map_err(|why| why.to_string()), Ok(quick));
            }
        }
    }

    #[test]
    fn no_text_upsets_the_reading(text in "[\\{\\}\\[\\]\":,a-e0-9 \n\\\\éu]{0,60}", fields in "[\\{\\}\\[\\]\":,a-z0-9. \\\\]{0,30}") {
        let _ = Manifest::parse(&text, "m");
        let _ = Manifest::parse(&one(&fields), "m");
    }
}
