# The official image, with a folder for the database that its user may write.

FROM temporalio/temporal:1.5.1
USER root
RUN mkdir -p /data && chown temporal:temporal /data
USER temporal
VOLUME /data
EXPOSE 7233 8233
