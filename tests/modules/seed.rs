//! The example of the Updates Orchestrator's own document, with four real modules: two in shell, one in Python with a requirement, one
//! compiled.

use std::process::Command;

use crate::bench::Bench;

const MANIFEST: &str = include_str!("../golden/modules/seed.json");

/// A package of one module, as pip installs it without a network.
const WHEEL: &str = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/greeting-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("greeting.py", "WORDS = 'hello from a requirement'\n")
    wheel.writestr("greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
    wheel.writestr("greeting-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("greeting-1.0.dist-info/RECORD", "greeting.py,,\ngreeting-1.0.dist-info/METADATA,,\ngreeting-1.0.dist-info/WHEEL,,\ngreeting-1.0.dist-info/RECORD,,\n")
"#;

fn scene() -> Bench {
    let bench = Bench::new(MANIFEST);
    let ran = bench.ran().display().to_string();
    bench.program("adblock", &format!("echo adblock >> {ran}"));
    bench.program("atuin", &format!("echo atuin >> {ran}"));
    let place = bench.ran().parent().unwrap().to_path_buf();
    let made = Command::new("python3").args(["-c", WHEEL]).arg(&place).status().unwrap();
    assert!(made.success());
    std::fs::create_dir(bench.path("filebrowser")).unwrap();
    let wheel = place.join("greeting-1.0-py3-none-any.whl");
    std::fs::write(bench.path("filebrowser/requirements.txt"), format!("{}\n", wheel.display())).unwrap();
    let python = format!(
        "import greeting\n\ndef main(args=None):\n    print(greeting.WORDS)\n    open('{ran}', 'a').write('filebrowser\\n')\n"
    );
    std::fs::write(bench.path("filebrowser/index.py"), python).unwrap();
    std::fs::create_dir(bench.path("gogs")).unwrap();
    let source = place.join("gogs.c");
    let code = format!(
        "#include <stdio.h>\nint main(void) {{ FILE *f = fopen(\"{ran}\", \"a\"); return fputs(\"gogs\\n\", f) < 0 || fclose(f); }}\n"
    );
    std::fs::write(&source, code).unwrap();
    assert!(Command::new("cc").arg("-o").arg(bench.path("gogs/index")).arg(&source).status().unwrap().success());
    bench
}

#[test]
fn the_seeds_example_goes_from_checksums_to_the_last_module() {
    let bench = scene();
    bench.well(&["checksum", "--write"]);
    bench.fails(&["apply", "filebrowser"], 1, "patch-modules setup filebrowser");
    assert!(bench.well(&["setup"]).contains("filebrowser: its virtual environment is made"));
    assert!(bench.well(&["setup"]).contains("up to date"));
    let words = bench.well(&["apply"]);
    assert_eq!(bench.who_ran(), ["adblock", "atuin", "filebrowser", "gogs"]);
    assert!(words.contains("filebrowser | hello from a requirement"), "{words}");
    assert!(words.contains("adblock 1.0.0: applied in"), "{words}");
    let manifest = bench.manifest();
    assert!(!manifest.contains("2024-06-10") && manifest.matches("\"lastApplied\": \"20").count() == 5, "{manifest}");
    bench.well(&["verify"]);
    let requirements = std::fs::read_to_string(bench.path("filebrowser/requirements.txt")).unwrap();
    std::fs::write(bench.path("filebrowser/requirements.txt"), requirements + "# more\n").unwrap();
    bench.fails(&["setup"], 1, "cannot set up filebrowser: it is not what the manifest says");
    bench.well(&["repair", "--accept", "filebrowser", "--reason", "more"]);
    bench.fails(&["apply"], 1, "its virtual environment is missing or of other requirements");
    bench.well(&["setup"]);
    bench.well(&["apply"]);
}

#[test]
fn the_seeds_example_goes_through_a_failure_and_back() {
    let bench = scene();
    bench.well(&["checksum", "--write"]);
    bench.well(&["setup"]);
    bench.git(&["init", "-q"]);
    bench.git(&["add", "-A"]);
    bench.git(&["commit", "-qm", "all"]);
    bench.well(&["tag", "adblock"]);
    bench.program("adblock", "echo no list to be had\nexit 1");
    bench.write_manifest(&bench.manifest().replace("\"version\": \"1.0.0\"", "\"version\": \"1.1.0\""));
    bench.well(&["checksum", "--write", "adblock"]);
    let words = bench.fails(&["apply"], 1, "module adblock 1.1.0 failed: exit code 1");
    assert!(words.contains("adblock | no list to be had"), "{words}");
    assert!(words.contains("all_services: skipped: needs adblock, which failed"), "{words}");
    assert!(words.contains("3 of 5 modules applied, 1 failed, 1 skipped"), "{words}");
    assert_eq!(bench.who_ran(), ["atuin", "filebrowser", "gogs"]);
    assert!(bench.well(&["rollback", "adblock", "--last-safe"]).contains("adblock: rolled back to 1.0.0"));
    bench.well(&["verify"]);
    assert!(bench.well(&["apply", "adblock"]).contains("adblock 1.0.0: applied"));
}

#[test]
fn what_main_gives_back_decides() {
    for (code, exit, expected) in [
        ("def main(args=None):\n    return False\n", 1, "exit code 1"),
        ("def main(args=None):\n    return {'success': False}\n", 1, "exit code 1"),
        ("def main(args=None):\n    return 7\n", 1, "exit code 7"),
        ("def main(args=None):\n    return True\n", 0, "applied"),
        ("def main(args=None):\n    raise ValueError('boom')\n", 1, "ValueError: boom"),
        ("def other():\n    pass\n", 1, "index.py has no function main(args)"),
        ("def main(args:\n", 1, "SyntaxError"),
    ] {
        let bench = Bench::new("{\"updates\": [{\"name\": \"a\"}]}");
        std::fs::create_dir(bench.path("a")).unwrap();
        std::fs::write(bench.path("a/index.py"), code).unwrap();
        bench.well(&["checksum", "--write"]);
        bench.fails(&["apply"], exit, expected);
        bench.well(&["verify"]);
    }
}
