/**
 * The tree as import rules. The delivery path: socket → session → topics ← link ← hub ← publish, an arrow is an import or, between
 * worker and hub, the unix socket; only process/ composes both ends. Below src/: load/ stands on sysctl/, both on src/config.
 */
const rule = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

/** Folders whose files run in workers only; in the hub only; in the supervisor or the command line only. */
const WORKER = "socket|session|catchup|admission";
const HUB = "publish|admin";
const SUPERVISOR = "supervision|commands";

module.exports = {
  forbidden: [
    rule("no-circular", "a circle hides which file owns what", {}, { circular: true }),
    rule(
      "no-orphans",
      "a file that nobody imports is dead, unless it is an entry",
      { orphan: true, pathNot: "^(src/cli|src/process/(hub|worker)|load/generator/main)\\.ts$" },
      {},
    ),
    rule(
      "topics-import-neither-side",
      "topics is the meeting point: it knows neither sockets nor hub",
      { path: "^src/topics/" },
      { path: "^src/", pathNot: "^src/(topics|clock\\.ts|errors\\.ts|metrics/(catalog|counters))" },
    ),
    rule(
      "protocol-is-ground",
      "megagate.v1 is read by whoever speaks it; it knows nobody",
      { path: "^src/protocol/" },
      { path: "^src/", pathNot: "^src/(protocol/|topics/(name|publication)|errors\\.ts)" },
    ),
    rule(
      "session-knows-no-socket",
      "a session sees its socket as a narrow interface",
      { path: "^src/(session|catchup)/" },
      { path: "^src/(socket|hub|publish|admin|process|supervision)/" },
    ),
    rule(
      "catchup-knows-no-session",
      "a session hands its socket over to catchup and not the other way",
      { path: "^src/catchup/" },
      { path: "^src/session/" },
    ),
    rule(
      "socket-knows-no-hub",
      "the edge talks to sessions",
      { path: "^src/socket/" },
      { path: "^src/(hub|publish|admin|process|supervision)/" },
    ),
    rule(
      "admission-knows-no-socket",
      "who may come in is decided from numbers and texts: the edge asks, process/ composes",
      { path: "^src/admission/" },
      // The grammar of topic names is no topic: patterns of tokens are made of it.
      {
        path: "^src/(socket|session|catchup|topics|hub|publish|admin|process|supervision)/",
        pathNot: "^src/topics/name\\.ts$",
      },
    ),
    rule(
      "hub-knows-no-socket",
      "the hub serves workers, not clients",
      { path: "^src/hub/" },
      { path: "^src/(socket|session|catchup|publish|admin|process|supervision)/" },
    ),
    rule(
      "publish-goes-to-the-hub",
      "publishing ends at the hub",
      { path: "^src/publish/" },
      { path: "^src/(socket|session|catchup|admin|process|supervision)/" },
    ),
    rule(
      "folders-tell-the-process",
      "what runs in the hub process does not import what runs in workers or in the supervisor",
      { path: `^src/(${HUB}|hub)/` },
      {
        path: `^src/(${SUPERVISOR}|socket|session|catchup)/`,
        pathNot: "^src/supervision/(control-channel|ports)\\.ts$",
      },
    ),
    rule(
      "supervisor-serves-nobody",
      "the supervisor and the command line load neither sockets nor the hub; they start the processes that do",
      { path: `^src/(${SUPERVISOR})/` },
      {
        path: "^src/(socket|session|catchup|hub|publish|admin)/",
        // `megagate publish` writes what the hub reads, by the same table.
        pathNot: "^src/publish/(lines|message)\\.ts$",
        dependencyTypesNot: ["type-only"],
      },
    ),
    rule(
      "only-process-composes",
      "entry files are started, not imported, but by the commands that start them",
      { path: "^src/", pathNot: "^src/(process|commands)/" },
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
        path: `^src/(${WORKER}|protocol|topics)/|^src/process/(worker|child)\\.ts$|^src/supervision/control-channel\\.ts$|^src/hub/(link|wire)\\.ts$|^src/metrics/(catalog|counters)\\.ts$`,
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
      "only-commands-look-out",
      "the gateway needs neither load/ nor sysctl/; the command line loads them when asked to",
      { path: "^src/", pathNot: "^src/commands/" },
      { path: "^(load|sysctl)/" },
    ),
    rule("sysctl-is-ground", "load/ stands on sysctl/, never the other way", { path: "^sysctl/" }, { path: "^load/" }),
    rule(
      "outsiders",
      "load/ and sysctl/ use only src/config, and what is at the root of src/",
      { path: "^(load|sysctl)/" },
      { path: "^src/", pathNot: "^src/(config/|(errors|folders|signals|process/owner)\\.ts)" },
    ),
    rule(
      "kernel-is-the-lowest",
      "foreign calls and readers of /proc know nothing of what is done with them",
      { path: "^sysctl/kernel/" },
      { path: "^(src|sysctl|load)/", pathNot: "^(sysctl/kernel/|src/(errors|folders)\\.ts|src/config/)" },
    ),
    rule(
      "generators-do-not-coordinate",
      "a generator process knows nothing of the coordinator that started it",
      { path: "^load/(generator|reconnects)/" },
      { path: "^load/(run|scenarios|evidence|attribution|sizing)/" },
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { extensions: [".ts", ".js"], conditionNames: ["import", "node", "default", "types"] },
  },
};
