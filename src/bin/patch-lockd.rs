//! See `patch-lockd(8)`.

fn main() -> std::process::ExitCode {
    patchflag::cmd::patch_lockd::main()
}
