//! See `patch-modules(8)`.

fn main() -> std::process::ExitCode {
    patchflag::cmd::patch_modules::main()
}
