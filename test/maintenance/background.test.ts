import t from 'tap';
import { Background, type Task } from '../../src/maintenance/background.ts';
import { until } from '../until.ts';

/** A task that counts its runs. */
function counted(run: Task['run'] = async () => {}) {
  const task = {
    name: 'count',
    everyMs: 5,
    runs: 0,
    run: async (mayContinue: () => Promise<boolean>) => {
      task.runs++;
      await run(mayContinue);
    },
  };
  return task;
}

const free = { take: async () => true };

t.test('a task runs again and again until the process stops', async (t) => {
  const task = counted();
  const background = new Background({
    tasks: [task],
    leases: free,
    log: { warn: () => void t.fail('a warning') },
  });
  background.start();
  await until(() => task.runs >= 3);
  await background.stop();
  const { runs } = task;
  await until(async () => true);
  t.equal(task.runs, runs);
});

t.test('a task that fails is logged and runs again', async (t) => {
  const warnings: string[] = [];
  const task = counted(async () => {
    throw new Error('no');
  });
  const log = { warn: (_details: object, message: string) => void warnings.push(message) };
  const background = new Background({ tasks: [task], leases: free, log });
  background.start();
  await until(() => task.runs >= 2);
  await background.stop();
  t.match(warnings, ['A background task failed.', 'A background task failed.']);
});

t.test(
  'a task does not run while another process has its lease, and stops when it loses the lease',
  async (t) => {
    const names: string[] = [];
    let mine = false;
    const leases = {
      take: async (name: string) => {
        names.push(name);
        return mine;
      },
    };
    let steps = 0;
    const task = counted(async (mayContinue) => {
      while (await mayContinue()) {
        steps++;
        mine = steps < 3;
      }
    });
    const background = new Background({
      tasks: [task],
      leases,
      log: { warn: () => void t.fail('a warning') },
    });
    background.start();
    await until(() => names.length >= 2);
    t.equal(task.runs, 0);
    mine = true;
    await until(() => steps === 3);
    await background.stop();
    t.ok(names.every((name) => name === 'task count'));
  },
);

t.test('stopping waits for the step under way and starts no other', async (t) => {
  const step = Promise.withResolvers<void>();
  let steps = 0;
  const task = counted(async (mayContinue) => {
    while (await mayContinue()) {
      steps++;
      await step.promise;
    }
  });
  const background = new Background({
    tasks: [task],
    leases: free,
    log: { warn: () => void t.fail('a warning') },
  });
  background.start();
  await until(() => steps === 1);
  const stopped = background.stop();
  step.resolve();
  await stopped;
  t.equal(steps, 1);
});
