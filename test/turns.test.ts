import { setImmediate as soon } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { Turns } from '../src/turns.ts';
import { codeOf } from './contracts/origin.ts';

const never = new AbortController().signal;

/** A task that runs until the test ends it. */
function makeTask() {
  const { promise, resolve } = Promise.withResolvers<string>();
  return { run: () => promise, end: () => resolve('done') };
}

t.test('a task beyond the limit waits for its turn', async (t) => {
  const turns = new Turns(1);
  const first = makeTask();
  const running = turns.run(never, first.run);
  let started = false;
  const waiting = turns.run(never, async () => {
    started = true;
    return 'second';
  });
  await soon();
  t.notOk(started);
  t.notOk(turns.isFree());
  first.end();
  t.same(await Promise.all([running, waiting]), ['done', 'second']);
  t.ok(turns.isFree());
});

t.test('a task that throws gives its turn back', async (t) => {
  const turns = new Turns(1);
  const failing = turns.run(never, () => Promise.reject(new Error('failed')));
  const waiting = turns.run(never, async () => 'done');
  await t.rejects(failing, { message: 'failed' });
  t.equal(await waiting, 'done');
});

t.test('a full queue is busy', async (t) => {
  const turns = new Turns(1, { queue: 1 });
  const tasks = [makeTask(), makeTask()];
  const running = tasks.map(({ run }) => turns.run(never, run));
  await t.rejects(
    turns.run(never, async () => t.fail('it has no turn')),
    { code: 'busy', retryAfter: 10 },
  );
  for (const { end } of tasks) end();
  await Promise.all(running);
});

t.test('a task whose turn does not come in time is busy, and its place is free', async (t) => {
  const turns = new Turns(1, { patienceMs: 50 });
  const first = makeTask();
  const running = turns.run(never, first.run);
  t.equal(await codeOf(turns.run(never, async () => t.fail('it has no turn'))), 'busy');
  first.end();
  await running;
  t.equal(await turns.run(never, async () => 'done'), 'done');
  t.ok(turns.isFree());
});

t.test('a task whose signal has aborted never starts', async (t) => {
  const turns = new Turns(1);
  const reason = new Error('left');
  const task = async () => t.fail('it was aborted');
  await t.rejects(turns.run(AbortSignal.abort(reason), task), reason);
  t.ok(turns.isFree());
});

t.test('of two parties none has more than three quarters of the turns', async (t) => {
  const turns = new Turns(8);
  const [one, other] = [{}, {}];
  for (const party of [one, other]) turns.admit(party);
  const stuck = Array.from({ length: 20 }, makeTask);
  let started = 0;
  const running = stuck.map(({ run }) =>
    turns.run(
      never,
      () => {
        started++;
        return run();
      },
      one,
    ),
  );
  t.equal(started, 6);
  t.notOk(turns.isFree(one));
  t.equal(await turns.run(never, async () => 'at once', other), 'at once');
  for (const { end } of stuck) end();
  await Promise.all(running);
});

type Step = { readonly kind: 'start' | 'end' | 'abort'; readonly pick: number };

/** What must happen, in the plainest way: who runs, who waits, and who started in which order. */
class Model {
  readonly started: number[] = [];
  readonly running: { id: number; party: number }[] = [];
  readonly waiting: { id: number; party: number }[] = [];
  readonly #limit: number;
  readonly #parties: number;

  constructor(limit: number, parties: number) {
    this.#limit = limit;
    this.#parties = parties;
  }

  start(id: number, party: number): void {
    this.waiting.push({ id, party });
    this.fill();
  }

  fill(): void {
    const share = this.#parties > 1 ? Math.max(1, this.#limit - Math.ceil(this.#limit / 4)) : this.#limit;
    const mayRun = ({ party }: { party: number }) =>
      this.running.length < this.#limit && this.running.filter((task) => task.party === party).length < share;
    for (let at = this.waiting.findIndex(mayRun); at >= 0; at = this.waiting.findIndex(mayRun)) {
      const [task] = this.waiting.splice(at, 1);
      this.running.push(task!);
      this.started.push(task!.id);
    }
  }
}

t.test('never more than the limit, first come first served, an aborted task leaves no trace', async (t) => {
  const steps = fc.array(
    fc.record<Step>({ kind: fc.constantFrom('start', 'start', 'end', 'abort'), pick: fc.nat(99) }),
    { maxLength: 60 },
  );
  const property = fc.asyncProperty(
    steps,
    fc.integer({ min: 1, max: 6 }),
    fc.integer({ min: 1, max: 3 }),
    async (steps, limit, count) => {
      const turns = new Turns(limit);
      const parties = Array.from({ length: count }, () => ({}));
      for (const party of parties) turns.admit(party);
      const model = new Model(limit, count);
      const tasks: { end(): void; abortion: AbortController; run: Promise<unknown> }[] = [];
      const started: number[] = [];
      for (const { kind, pick } of steps) {
        if (kind === 'start') {
          const { run, end } = makeTask();
          const abortion = new AbortController();
          const id = tasks.length;
          const task = () => {
            started.push(id);
            return run();
          };
          const running = turns.run(abortion.signal, task, parties[pick % count]).catch(() => 'aborted');
          tasks.push({ end, abortion, run: running });
          model.start(id, pick % count);
        }
        if (kind === 'end') {
          const [ended] = model.running.splice(pick % Math.max(1, model.running.length), 1);
          if (ended) tasks[ended.id]!.end();
          model.fill();
        }
        if (kind === 'abort') {
          const [left] = model.waiting.splice(pick % Math.max(1, model.waiting.length), 1);
          if (left) tasks[left.id]!.abortion.abort();
        }
        await soon();
        if (started.join() !== model.started.join()) return false;
      }
      for (const { end } of tasks) end();
      await Promise.all(tasks.map(({ run }) => run));
      return parties.every((party) => turns.isFree(party));
    },
  );
  await fc.assert(property, { numRuns: 200 });
  t.pass('as the model says, after every step');
});
