# One image for every process: the command says which one runs. Written with care; it was not built where it was written,
# for there was no engine. Node 22 is the current LTS; 20.19 works as well.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build --chown=node:node /app/package.json ./
COPY --from=build --chown=node:node /app/node_modules ./node_modules
COPY --from=build --chown=node:node /app/dist ./dist
COPY --from=build --chown=node:node /app/templates ./templates
USER node
EXPOSE 3100
# SIGTERM reaches Node itself: no shell in between.
CMD ["node", "dist/edge/main.js"]
