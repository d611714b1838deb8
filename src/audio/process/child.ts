/** The program of the child process: it checks one recording at a time, as its parent requests. */
import { check } from '../check.ts';
import type { Source } from '../source.ts';
import type { ToChild, ToParent } from './messages.ts';

const reads = new Map<number, PromiseWithResolvers<Uint8Array>>();
let lastId = 0;

process.on('message', (message: ToChild) => {
  if (message.kind === 'check') void checkRecording(message).then(send);
  else reads.get(message.id)!.resolve(message.bytes);
});
process.on('disconnect', () => process.exit());

async function checkRecording(request: ToChild & { kind: 'check' }): Promise<ToParent> {
  send({ kind: 'started' });
  try {
    const progress = (seconds: number) => send({ kind: 'progress', seconds });
    return { kind: 'report', report: await check(parentSource(request.size), request.declared, progress) };
  } catch (error) {
    return { kind: 'error', cause: error };
  }
}

/** A source whose bytes the parent reads. */
function parentSource(size: number): Source {
  return {
    size,
    async read(offset, length) {
      const id = ++lastId;
      const bytes = Promise.withResolvers<Uint8Array>();
      reads.set(id, bytes);
      send({ kind: 'read', id, offset, length });
      return bytes.promise.finally(() => reads.delete(id));
    },
    close: async () => {},
  };
}

function send(message: ToParent): void {
  process.send!(message);
}
