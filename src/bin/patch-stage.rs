//! See `patch-stage(8)`.

fn main() -> std::process::ExitCode {
    patchflag::cmd::patch_stage::main()
}
