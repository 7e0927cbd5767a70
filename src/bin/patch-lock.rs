//! See `patch-lock(8)`.

fn main() -> std::process::ExitCode {
    patchflag::cmd::patch_lock::main()
}
