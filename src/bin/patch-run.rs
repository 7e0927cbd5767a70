//! See `patch-run(8)`.

fn main() -> std::process::ExitCode {
    patchflag::cmd::patch_run::main()
}
