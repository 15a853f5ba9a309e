/**
 * The container and Kubernetes files that people install agree with the code: option names and ranges, ports, paths, kernel
 * settings, descriptor and memory limits, and the time for a stop. What they cannot show without Docker or a cluster is how
 * those programs read them.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { faultsOf } from "../../src/config/faults.js";
import { SERVE_OPTIONS } from "../../src/config/options.js";
import { resolve } from "../../src/config/resolve.js";
import { type KernelPlan, memoryNeededBytes } from "../../sysctl/plan.js";
import { MILLION, needsOf } from "../../sysctl/remedies/render.js";

const FOLDER = "sysctl/deploy";
const read = (path: string): string => readFileSync(`${FOLDER}/${path}`, "utf8");
const dockerfile = read("container/Dockerfile");
const { services, secrets: composeSecrets } = parse(read("container/compose.yaml")) as ComposeFile;
const compose = services.megagate;
const manifests = parseAllDocuments(read("kubernetes/megagate.yaml")).map((document) => document.toJS() as Manifest);
const stateful = manifests.find(({ kind }) => kind === "StatefulSet")!.spec as unknown as StatefulSpec;
const pod = stateful.template.spec;
const container = pod.containers[0]!;

interface ComposeService {
  readonly build: { readonly context: string; readonly dockerfile: string };
  readonly environment: Readonly<Record<string, string>>;
  readonly ports: readonly string[];
  readonly ulimits: { readonly nofile: { readonly soft: number; readonly hard: number } };
  readonly sysctls: Readonly<Record<string, string>>;
  readonly volumes: readonly string[];
  readonly secrets: readonly string[];
  readonly healthcheck: { readonly test: readonly string[] };
  readonly stop_grace_period: string;
}
interface ComposeFile {
  readonly services: { readonly megagate: ComposeService };
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: { readonly ports?: readonly { readonly port: number; readonly targetPort: string }[] };
}
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}
interface StatefulSpec {
  readonly template: {
    readonly spec: {
      readonly terminationGracePeriodSeconds: number;
      readonly securityContext: { readonly sysctls: readonly { readonly name: string; readonly value: string }[] };
      readonly containers: readonly {
        readonly image: string;
        readonly args: readonly string[];
        readonly env: readonly { readonly name: string; readonly value: string }[];
        readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
        readonly resources: { readonly limits: { readonly cpu: string; readonly memory: string } };
        readonly startupProbe: Probe;
        readonly readinessProbe: Probe;
        readonly livenessProbe: Probe;
        readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
      }[];
      readonly volumes: readonly { readonly name: string; readonly secret: { readonly defaultMode: number } }[];
    };
  };
}

/** ENV of the image: NAME=value pairs of one line. */
const imageEnv = Object.fromEntries(
  [.../^ENV (.*)$/m.exec(dockerfile)![1]!.matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [name!, value!]),
);
const ENVIRONMENTS = {
  compose: { ...imageEnv, ...compose.environment },
  kubernetes: { ...imageEnv, ...Object.fromEntries(container.env.map(({ name, value }) => [name, value])) },
};
const configOf = (name: keyof typeof ENVIRONMENTS) =>
  resolve(SERVE_OPTIONS, { command: "serve", flags: {}, env: ENVIRONMENTS[name] }).config;

/** The plan behind a file: the gateway's ends only. */
const planFor = (connections: number, nofile: number): KernelPlan => ({
  ...MILLION,
  connections,
  nofile,
  coLocated: false,
});
const sysctlsFor = (plan: KernelPlan): Record<string, string> =>
  Object.fromEntries(
    needsOf(plan, { type: "container" }).flatMap((need) =>
      need.kind === "sysctl" && need.scope === "namespace" ? [[need.key, need.value]] : [],
    ),
  );

for (const name of ["compose", "kubernetes"] as const) {
  describe(`the ${name} file`, () => {
    const config = configOf(name);

    it("names existing options with values in their ranges, and keeps the default ports", () => {
      const known = new Set(
        Object.keys(SERVE_OPTIONS).map((key) => `MEGAGATE_${key.replace(/[A-Z]/g, "_$&").toUpperCase()}`),
      );
      const named = Object.keys(ENVIRONMENTS[name]).filter((variable) => variable.startsWith("MEGAGATE_"));
      assert.deepEqual(
        named.filter((variable) => !known.has(variable)),
        [],
      );
      assert.deepEqual([config.host, config.adminHost], ["0.0.0.0", "0.0.0.0"]);
      assert.deepEqual([config.port, config.adminPort], [8080, 8081]);
    });

    it("mounts the keys of the admin port where the gateway reads them, readable to its user alone", () => {
      if (name === "compose") {
        assert.deepEqual(compose.secrets, ["admin-keys"]);
        assert.deepEqual(composeSecrets, { "admin-keys": { file: "/etc/megagate.keys" } });
        assert.equal(config.adminKeysFile, "/run/secrets/admin-keys");
      } else {
        const mount = container.volumeMounts.find(({ name: volume }) => volume === "admin-keys")!;
        assert.equal(config.adminKeysFile, `${mount.mountPath}/admin-keys`);
        const { secret } = pod.volumes.find((volume) => volume.name === mount.name)!;
        assert.equal(secret.defaultMode, 0o440);
      }
    });

    it("has options that go together", () => assert.deepEqual(faultsOf(config), []));

    it("sets the namespace's kernel settings to what the table wants for its connections", () => {
      const { sysctls } =
        name === "compose"
          ? compose
          : { sysctls: Object.fromEntries(pod.securityContext.sysctls.map((row) => [row.name, row.value])) };
      assert.deepEqual(sysctls, sysctlsFor(planFor(config.connections, compose.ulimits.nofile.hard)));
    });

    it("leaves more time for a stop than the gateway takes", () => {
      const seconds =
        name === "compose" ? Number(/^(\d+)s$/.exec(compose.stop_grace_period)![1]) : pod.terminationGracePeriodSeconds;
      assert.ok(seconds >= config.stopNoticeSeconds + config.stopSeconds + 10, `${seconds} s`);
    });

    it("keeps the log of topics on a volume", () => {
      const mounts =
        name === "compose"
          ? compose.volumes.map((volume) => volume.split(":")[1]!)
          : container.volumeMounts.map(({ mountPath }) => mountPath);
      assert.ok(mounts.some((mount) => config.stateDir.startsWith(`${mount}/`)));
    });
  });
}

describe("the image", () => {
  it("copies what exists, and starts the command line directly", () => {
    const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, list]) => list!.split(" "));
    assert.ok(sources.length > 5);
    for (const path of sources) assert.ok(existsSync(path), path);
    assert.match(dockerfile, /^ENTRYPOINT \["node", "dist\/src\/cli\.js"\]$/m);
    assert.match(dockerfile, /^CMD \["serve"\]$/m);
    assert.match(dockerfile, /^EXPOSE 8080 8081$/m);
  });

  it("has a Node that the WebSocket engine runs with, on a glibc that is new enough", () => {
    const { config } = JSON.parse(readFileSync("package.json", "utf8")) as {
      config: { glibcOfNode: Record<string, string> };
    };
    const bases = [...dockerfile.matchAll(/^FROM node:(\d+)-(\w+)-slim/gm)];
    assert.equal(bases.length, 2);
    for (const [, node = "", debian] of bases) {
      assert.equal(debian, "bookworm");
      const [, minor] = config.glibcOfNode[node]?.split(".") ?? [];
      assert.ok(Number(minor) <= 36, `Node ${node} needs glibc ${config.glibcOfNode[node] ?? "unknown"}`);
    }
  });
});

describe("Docker Compose", () => {
  it("builds the Dockerfile from the repository's root", () => {
    assert.ok(existsSync(`${FOLDER}/container/${compose.build.context}/${compose.build.dockerfile}`));
  });

  it("opens the public port to all and the admin port to this machine only", () => {
    assert.deepEqual(compose.ports, ["8080:8080", "127.0.0.1:8081:8081"]);
    assert.ok(compose.healthcheck.test.at(-1)!.includes("127.0.0.1:8081/readyz"));
  });

  it("gives one process the descriptors that tune would ask for", () => {
    const { connections } = configOf("compose");
    const nofile = needsOf(planFor(connections, 1024), { type: "container" }).find(({ kind }) => kind === "nofile");
    assert.deepEqual(nofile?.kind === "nofile" && nofile.value, compose.ulimits.nofile.hard);
  });
});

describe("Kubernetes", () => {
  it("probes routes that exist, on ports with the gateway's numbers", () => {
    assert.deepEqual(container.ports, [
      { name: "public", containerPort: 8080 },
      { name: "admin", containerPort: 8081 },
    ]);
    assert.deepEqual(container.startupProbe.httpGet, { path: "/readyz", port: "admin" });
    assert.deepEqual(container.readinessProbe.httpGet, { path: "/readyz", port: "admin" });
    assert.deepEqual(container.livenessProbe.httpGet, { path: "/healthz", port: "public" });
    for (const { kind, spec, metadata } of manifests.filter((manifest) => manifest.kind === "Service")) {
      const [port] = spec.ports!;
      assert.ok(port, `${kind} ${metadata.name}`);
      assert.equal(container.ports.find(({ name }) => name === port.targetPort)?.containerPort, port.port);
    }
  });

  it("lets the admin port be called by its Service's name", () => {
    const names = manifests.filter(({ kind }) => kind === "Service").map(({ metadata }) => metadata.name);
    assert.ok(names.includes(configOf("kubernetes").adminHostnames));
  });

  it("names no image, and gives the pod the memory of the measured model", () => {
    assert.equal(container.image, "IMAGE");
    assert.deepEqual(container.args, ["serve"]);
    const { cpu, memory } = container.resources.limits;
    const bytes = Number(/^(\d+)Gi$/.exec(memory)![1]) * 2 ** 30;
    const plan = { ...planFor(configOf("kubernetes").connections, 1_048_576), cores: Number(cpu) };
    assert.ok(bytes >= memoryNeededBytes(plan), `${memory} for ${memoryNeededBytes(plan)} bytes`);
  });
});
