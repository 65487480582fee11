# No "# syntax" line: a builder would fetch that from Docker Hub, and nothing here
# needs more than any builder brings.

# The binary is built for the platform it will run on, by the Go of go.mod.
FROM golang:1.26.8 AS build
WORKDIR /src
# Where modules come from, if not from the public proxy: --build-arg GOPROXY=…
ARG GOPROXY
ARG GOSUMDB
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY cmd cmd
COPY internal internal
COPY pkg pkg
COPY config config
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/drover ./cmd/controller
# A new volume takes owner and mode from the image: the journal is Drover's only.
# Builders keep the mode of what is in a copied directory, not of the directory.
RUN install -d -m 0700 /out/lib/drover && install -d -m 1777 /out/root/tmp

# For jobs of a pipeline, which need a shell: docker build --target pipeline. The
# names are those of rancher-gitlab-deploy and of the link in its image.
FROM debian:12-slim AS pipeline
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/drover /usr/local/bin/drover
RUN ln -s drover /usr/local/bin/rancher-gitlab-deploy && ln -s drover /usr/local/bin/upgrade
USER 65532:65532
CMD ["rancher-gitlab-deploy", "--help"]

# What runs as a service; the last stage is the one that is built by default.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
# In the PATH: docker exec CONTAINER drover status.
COPY --from=build /out/drover /usr/local/bin/drover
COPY --from=build --chown=65532:65532 /out/lib /var/lib
COPY --from=build /out/root /
COPY config/targets.yaml /etc/drover/targets.yaml
USER 65532:65532
ENV ZONEINFO=/zoneinfo.zip \
    DROVER_CONFIG=/etc/drover/targets.yaml \
    DROVER_STATE_DIR=/var/lib/drover
# The journal. Nothing else is written, so the root filesystem may be read-only.
VOLUME /var/lib/drover
# Asks the daemon over its socket whether it still looks and can still write.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/drover", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/drover"]
CMD ["run"]
