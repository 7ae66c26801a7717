//! Turns the gRPC schema into Rust, without a `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../schemas/proto";
    println!("cargo:rerun-if-changed={root}");
    let files = ["veza/v1/accounts.proto", "veza/v1/chat.proto"];
    let descriptors = protox::compile(files, [root])?;
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo tells build scripts by variables, not settings"
    )]
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    // What server reflection shows.
    std::fs::write(out.join("veza.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
