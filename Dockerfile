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
# With the time zones in the binary: it finds the zone of TZ nowhere else, because
# time.Local does not look at ZONEINFO.
RUN CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags "-s -w -X main.version=${VERSION}" -o /out/drover ./cmd/controller
# A new volume takes owner and mode from the image: the journal is Drover's only.
# Builders keep the mode of what is in a copied directory, not of the directory.
RUN install -d -m 0700 /out/lib/drover && install -d -m 1777 /out/root/tmp
# The user has a name, because the journal says who gave a command.
RUN install -d /out/root/etc && \
    echo 'drover:x:65532:65532::/:/sbin/nologin' >/out/root/etc/passwd && \
    echo 'drover:x:65532:' >/out/root/etc/group

# For jobs of a pipeline, which need a shell: docker build --target pipeline. The
# names are those of rancher-gitlab-deploy and of the link in its image.
FROM debian:12-slim AS pipeline
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/drover /usr/local/bin/drover
RUN ln -s drover /usr/local/bin/rancher-gitlab-deploy && ln -s drover /usr/local/bin/upgrade && \
    useradd --uid 65532 --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin drover
USER 65532:65532
CMD ["rancher-gitlab-deploy", "--help"]

# What runs as a service; the last stage is the one that is built by default.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# In the PATH: docker exec CONTAINER drover status.
COPY --from=build /out/drover /usr/local/bin/drover
COPY --from=build --chown=65532:65532 /out/lib /var/lib
COPY --from=build /out/root /
COPY config/targets.yaml /etc/drover/targets.yaml
ARG VERSION=dev
LABEL org.opencontainers.image.title=Drover \
      org.opencontainers.image.source=https://gitlab.gf.com.cn/clickeggs/drover \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION}
USER 65532:65532
ENV DROVER_CONFIG=/etc/drover/targets.yaml \
    DROVER_STATE_DIR=/var/lib/drover
# The journal. Nothing else is written, so the root filesystem may be read-only.
VOLUME /var/lib/drover
# Asks the daemon over its socket whether it still looks and can still write.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/drover", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/drover"]
CMD ["run"]
