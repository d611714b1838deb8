import t from 'tap';
import { Leases } from '../../src/db/leases.ts';
import { clock } from '../clock.ts';
import { eachEngine } from '../contracts/db.ts';

eachEngine(t, 'one process at a time has a lease, the next when the lease expires', async (t, place) => {
  const putForward = clock(t);
  const [one, two] = [new Leases(await place.open(), 60_000), new Leases(await place.open(), 60_000)];
  t.same(await Promise.all([one.take('1'), two.take('2')]), [true, true]);
  t.same(await Promise.all([one.take('2'), two.take('1')]), [false, false]);
  putForward(35_000);
  t.equal(await one.take('1'), true, 'is renewed by taking it again');
  putForward(35_000);
  t.same(await Promise.all([two.take('1'), one.take('2')]), [false, true]);
  putForward(70_000);
  t.equal(await two.take('1'), true);
});
