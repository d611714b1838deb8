import { pino } from 'pino';
import t from 'tap';
import { Problem } from '../../src/errors.ts';
import { Readiness } from '../../src/routes/readiness.ts';

const silent = pino({ level: 'silent' });

t.test('a hundred probes at once look at the database once', async (t) => {
  let pings = 0;
  const ready = new Readiness({ ping: async () => void pings++ }, silent);
  const states = await Promise.all(Array.from({ length: 100 }, () => ready.database()));
  t.same(new Set([...states, await ready.database()]), new Set(['ok']));
  t.equal(pings, 1);
});

t.test('a full database is ready, because streams go on', async (t) => {
  const ping = async () => {
    throw new Problem('storage_full');
  };
  t.equal(await new Readiness({ ping }, silent).database(), 'full');
});
