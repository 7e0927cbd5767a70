//! See `patch-mail(8)`.

fn main() -> std::process::ExitCode {
    patchflag::cmd::patch_mail::main()
}
