/**
 * The flow as import rules: socket → session → topics ← hub ← publish. An arrow is an import; only process/ sees both ends.
 * load/ and sysctl/ are outsiders: they may use the option machinery and the error table of src/, nothing else.
 */
const rule = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

module.exports = {
  forbidden: [
    rule("no-circular", "a circle hides which file owns what", {}, { circular: true }),
    rule(
      "no-orphans",
      "a file that nobody imports is dead, unless it is an entry",
      { orphan: true, pathNot: "^(src/cli|src/process/(hub|worker)|load/(generator|main))\\.ts$" },
      {},
    ),
    rule(
      "topics-import-neither-side",
      "topics is the meeting point: it knows neither sockets nor hub",
      { path: "^src/topics/" },
      { path: "^src/", pathNot: "^src/(topics|clock\\.ts|errors\\.ts|metrics/(catalog|counters))" },
    ),
    rule(
      "session-knows-no-socket",
      "a session sees its socket as a narrow interface",
      { path: "^src/session/" },
      { path: "^src/(socket|hub|publish|process)/" },
    ),
    rule(
      "socket-knows-no-hub",
      "the edge talks to sessions",
      { path: "^src/socket/" },
      { path: "^src/(hub|publish|process)/" },
    ),
    rule(
      "admission-knows-no-socket",
      "who may come in is decided from numbers and texts: the edge asks, process/ composes",
      { path: "^src/admission/" },
      { path: "^src/(socket|session|topics|hub|publish|process)/" },
    ),
    rule(
      "hub-knows-no-socket",
      "the hub serves workers, not clients",
      { path: "^src/hub/" },
      { path: "^src/(socket|session|publish|process)/" },
    ),
    rule(
      "publish-goes-to-the-hub",
      "publishing ends at the hub",
      { path: "^src/publish/" },
      { path: "^src/(socket|session|process)/" },
    ),
    rule(
      "only-process-composes",
      "composition happens in process/ and in the command line",
      { path: "^src/", pathNot: "^src/(process/|cli\\.ts|commands\\.ts)" },
      { path: "^src/process/" },
    ),
    rule(
      "one-native-import",
      "only socket/native.ts imports uWebSockets.js",
      { path: "^(src|load|sysctl)/", pathNot: "^src/socket/native\\.ts$" },
      { path: "uWebSockets" },
    ),
    rule(
      "workers-stay-light",
      "a worker loads no zod, yaml, pino, prom-client or commander: 56 of them would pay",
      {
        path: "^src/(admission|socket|session|topics)/|^src/process/(worker|child|messages)\\.ts$|^src/hub/(link|wire)\\.ts$|^src/metrics/(catalog|counters)\\.ts$",
      },
      { path: "node_modules/(zod|yaml|pino|prom-client|commander)/", dependencyTypesNot: ["type-only"] },
    ),
    rule(
      "client-stands-alone",
      "the SDK runs in browsers: it imports only itself",
      { path: "^src/client/" },
      { pathNot: "^src/client/" },
    ),
    rule(
      "outsiders",
      "load/ and sysctl/ use only src/config, src/errors.ts, src/folders.ts, and what they say to a gateway of their own",
      { path: "^(load|sysctl)/" },
      { path: "^src/", pathNot: "^src/(config/|(errors|folders|owner|signals)\\.ts)" },
    ),
    rule(
      "src-knows-no-outsider",
      "the gateway does not need load/ or sysctl/; the command line loads them when asked to",
      { path: "^src/", pathNot: "^src/commands\\.ts$" },
      { path: "^(load|sysctl)/" },
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { extensions: [".ts", ".js"], conditionNames: ["import", "node", "default", "types"] },
  },
};
