# syntax=docker/dockerfile:1
# One image for every role: `docker run veza gateway`, `… chat`, and so on.

FROM rust:1.95.0-slim-trixie AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches stay on the machine that builds; the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target \
    CARGO_TARGET_DIR=/target cargo build --locked --profile dist -p veza \
    && cp /target/dist/veza /veza

FROM debian:13.2-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 veza \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin veza \
    && install --directory --owner 10001 --group 10001 --mode 700 /var/lib/veza/keys
COPY --from=build /veza /usr/local/bin/veza
USER 10001:10001
# HTTP and WebSocket of the gateway; health and metrics of every role.
EXPOSE 8080 9464 7882/udp
ENTRYPOINT ["veza"]
