/**
 * Loaded into the processes of a gateway under fuzzing: collects garbage every two seconds, so that what memory grows by
 * is what is kept, and not what the collector has not got round to.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
setInterval(collect, 2000).unref();
