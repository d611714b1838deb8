FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# node-web-audio-api comes with binaries for every platform. Keep the one for this image.
RUN npm ci --omit=dev \
 && find node_modules/node-web-audio-api -name '*.node' ! -name "*.linux-$(node -p process.arch)-gnu*.node" -delete

FROM node:24-bookworm-slim
# The AAC decoder is linked against ALSA's library, although nothing is played.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libasound2 \
 && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE NOTICE ./
COPY docs/problems.md docs/
# The only folder that is written to. Everything else may be mounted read-only.
RUN install -d -o node -g node /data
VOLUME /data
USER node
ENV NODE_ENV=production PLAYHEAD_HOST=0.0.0.0 PLAYHEAD_PORT=8080 PLAYHEAD_DATA_DIR=/data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PLAYHEAD_PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# A small young generation is enough, because what a request makes dies with it. A thousand listeners then take 100 MB less.
ENTRYPOINT ["node", "--disable-sigusr1", "--max-semi-space-size=4", "dist/cli.js"]
CMD ["serve"]
