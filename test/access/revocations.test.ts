import t from 'tap';
import { Revocations } from '../../src/access/revocations.ts';
import { Changes } from '../../src/db/changes.ts';
import { eachEngine } from '../contracts/db.ts';
import { until } from '../until.ts';

const day = 86_400_000;

await eachEngine(
  t,
  'a process that only receives revocations forgets those that have expired',
  async (t, place) => {
    let now = 1_790_000_000_000;
    const open = async () => {
      const db = await place.open();
      const changes = await Changes.open(db, 20);
      t.teardown(() => changes.close());
      return Revocations.open({ db, changes, now: () => now });
    };
    const [sender, receiver] = [await open(), await open()];
    const revoke = (jti: string) =>
      sender.add({ account_id: '', external_id: '', jti, cutoff: now, expires_at: now + day });
    await revoke('first');
    await until(() => receiver.isTokenRevoked('first'));
    now += 2 * day;
    await revoke('second');
    await until(() => receiver.isTokenRevoked('second'));
    t.notOk(receiver.isTokenRevoked('first'));
    t.notOk(sender.isTokenRevoked('first'));
  },
);
