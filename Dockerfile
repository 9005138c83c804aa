# pgfresh as a sidecar: `docker run pgfresh/pgfresh` applies the definitions mounted at /definitions and keeps them fresh;
# `docker run pgfresh/pgfresh plan` (or any other command) does just that. The database is DATABASE_URL.
ARG NODE_VERSION=24

FROM node:${NODE_VERSION}-bookworm-slim AS build
WORKDIR /app
# No scripts: they fetch the servers and the Node that the tests need, and pgfresh itself has none.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build \
 && npm prune --ignore-scripts --omit=dev --omit=optional --no-audit --no-fund \
 && find dist -name '*.map' -delete
COPY migrations migrations
COPY LICENSE README.md ./
# Below, another account than the one that builds must be able to read all of it, whatever the checkout's umask was.
RUN rm -rf src tsconfig*.json package-lock.json && chmod -R a+rX .

FROM node:${NODE_VERSION}-bookworm-slim
LABEL org.opencontainers.image.title="pgfresh" \
      org.opencontainers.image.description="Keeps derived data in PostgreSQL right and fresh" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /app /app
RUN ln -s /app/dist/main.js /usr/local/bin/pgfresh && mkdir /definitions
ENV NODE_ENV=production \
    PGFRESH_DEFINITIONS=/definitions
# A number, so that Kubernetes can see that it is not root. Nothing is written but the heartbeat, in /tmp.
USER 1000:1000
# As process 1 in exec form: SIGTERM reaches it, and it finishes its batches within 5 s.
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["run", "--apply"]
# No database is asked: an unreachable one is no reason to restart pgfresh. The start period is for a first apply.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=2 CMD ["pgfresh", "health"]
