# The program alone, for any scheduler that runs containers: no shell, no package manager, not root.
#
#   docker build -t afterscope .
#   docker run --rm -v "$PWD:/work" -w /work afterscope run --config afterscope.toml --as-of 2019-11-06
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && strip target/release/afterscope

# glibc, its certificates' folder, and a user without rights.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/afterscope /usr/local/bin/afterscope
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/afterscope/
USER nonroot
ENTRYPOINT ["/usr/local/bin/afterscope"]
