import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** The bytes of all buffers that this process still refers to: exact, whatever the allocator keeps. */
export function bufferBytes(): number {
  collectGarbage();
  collectGarbage(); // buffers that the first run frees are counted off by the second
  return process.memoryUsage().arrayBuffers;
}
