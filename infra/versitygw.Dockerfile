# The official image runs as root; this one as nobody, with a folder that nobody owns.

FROM versity/versitygw:v1.8.0
USER root
RUN mkdir -p /data && chown 65534:65534 /data
USER 65534:65534
VOLUME /data
EXPOSE 7070
