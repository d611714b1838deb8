import { isProblem, type ProblemCode } from '../../errors.ts';
import { check } from '../check.ts';
import type { Declared, Report } from '../report.ts';
import { openFile, type Source } from '../source.ts';

/** What the child process is told: a recording to judge, by its path or by the size of what can be asked for, and bytes. */
export type Order =
  | { kind: 'check'; declared: Declared; path: string }
  | { kind: 'check'; declared: Declared; size: number }
  | { kind: 'bytes'; id: number; bytes: Uint8Array };

/** What it tells: that it has begun, which bytes it needs, how far it is, and how it ended. */
export type Answer =
  | { kind: 'begun' }
  | { kind: 'read'; id: number; offset: number; length: number }
  | { kind: 'heard'; seconds: number }
  | { kind: 'report'; report: Report }
  | { kind: 'problem'; code: ProblemCode; message: string }
  | { kind: 'error'; cause: unknown };

const reads = new Map<number, PromiseWithResolvers<Uint8Array>>();
let lastId = 0;

process.on('message', (order: Order) => {
  if (order.kind === 'check') void judge(order).then(answer);
  else reads.get(order.id)!.resolve(order.bytes);
});
process.on('disconnect', () => process.exit());

async function judge(order: Order & { kind: 'check' }): Promise<Answer> {
  answer({ kind: 'begun' });
  try {
    const source = 'path' in order ? await openFile(order.path) : asked(order.size);
    try {
      return {
        kind: 'report',
        report: await check(source, order.declared, (seconds) => answer({ kind: 'heard', seconds })),
      };
    } finally {
      await source.close();
    }
  } catch (error) {
    if (isProblem(error)) return { kind: 'problem', code: error.code, message: error.message };
    return { kind: 'error', cause: error };
  }
}

/** A source whose bytes are asked of whoever gave the order. */
function asked(size: number): Source {
  return {
    size,
    async read(offset, length) {
      const id = ++lastId;
      const bytes = Promise.withResolvers<Uint8Array>();
      reads.set(id, bytes);
      answer({ kind: 'read', id, offset, length });
      return bytes.promise.finally(() => reads.delete(id));
    },
    close: async () => {},
  };
}

function answer(message: Answer): void {
  process.send!(message);
}
