# MinIO from source: its repository is archived, and its official images and downloads have been taken away. Pinned to its last commit.

FROM golang:1.24.13-bookworm AS build
RUN CGO_ENABLED=0 GOBIN=/out go install -ldflags="-s -w" github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c \
 && mkdir -p /data

FROM alpine:3.22.6
COPY --from=build /out/minio /usr/local/bin/minio
COPY --from=build --chown=65534:65534 /data /data
USER 65534:65534
VOLUME /data
EXPOSE 9000 9001
ENTRYPOINT ["minio"]
CMD ["server", "/data", "--console-address", ":9001"]
