# A gachix node. Everything in it follows from this file, the lock file and the base image; deploy/README.md says how to
# run it. To fix the base image as well, build with --build-arg NODE_IMAGE=node@sha256:…

ARG NODE_IMAGE=node:24-slim

# What is built has all that it needs of the libraries. No install script runs: nothing here needs one.
FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
COPY tsconfig.json ./
COPY deploy/bundle.ts deploy/
COPY protocol protocol
COPY src src
RUN npm run -s build

FROM ${NODE_IMAGE}
# git and ssh are what the node runs; the package managers of JavaScript it does not need.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates git openssh-client >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* /tmp/* \
 && rm -rf /usr/local/lib/node_modules /opt/yarn* /usr/local/include \
 && cd /usr/local/bin && rm -f npm npx corepack yarn yarnpkg pnpm pnpx \
 && groupadd --system --gid 10001 gachix \
 && useradd --system --uid 10001 --gid gachix --home-dir /data --no-create-home --shell /usr/sbin/nologin gachix \
 && install -d -o gachix -g gachix -m 0750 /data \
 && ln -s ../../../opt/gachix/dist/main.js /usr/local/bin/gachix
COPY --from=build /build/dist /opt/gachix/dist
COPY package.json LICENSE /opt/gachix/
COPY deploy/container-config.yaml /etc/gachix/config.yaml
RUN chmod 0755 /opt/gachix/dist/main.js

ENV NODE_ENV=production NODE_OPTIONS=--max-semi-space-size=1 MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072 HOME=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080 4042
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
  CMD ["gachix", "--config", "/etc/gachix/config.yaml", "status"]
ENTRYPOINT ["gachix", "--config", "/etc/gachix/config.yaml"]
CMD ["serve"]
