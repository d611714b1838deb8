import t from 'tap';
import { Holds } from '../../src/recordings/holds.ts';
import { eachEngine, failing, outcomeOf, put, recording, type Worker } from '../contracts/db.ts';

const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    (value) => (value === undefined ? 'nothing' : 'done'),
    (error) => error.code ?? Promise.reject(error),
  );
const remove = ({ catalog }: Worker, externalId = 'call-1') => codeOf(catalog.remove('acme', externalId));

eachEngine(t, 'a recording under a hold is neither removed nor replaced', async (t, place) => {
  const worker = await place.worker();
  const holds = new Holds(worker.db);
  await put(worker, recording());
  const placed = await holds.place({ accountId: 'acme', externalId: 'call-1' }, 'Case 12, ask Ms Weiss');
  t.match(placed, { accountId: 'acme', externalId: 'call-1', reason: 'Case 12, ask Ms Weiss' });

  await t.rejects(worker.catalog.remove('acme', 'call-1'), {
    code: 'held',
    message: /legal hold \(Case 12, ask Ms Weiss\).*playhead hold release --account acme --id call-1/,
    extra: { hold: { on: 'recording', reason: 'Case 12, ask Ms Weiss', placedAt: placed.placedAt } },
  });
  t.equal(await outcomeOf(put(worker, recording({ sha256: 'b' }), true)), 'held');
  t.equal(await outcomeOf(put(worker, recording({ sha256: 'b' }))), 'conflict', 'without replace as before');
  t.equal(await outcomeOf(put(worker, recording())), 'same', 'the same audio destroys nothing');
  t.match(await worker.catalog.read('acme', 'call-1'), { sha256: 'a' });

  const again = await holds.place({ accountId: 'acme', externalId: 'call-1' }, 'Case 13');
  t.same(again, { ...placed, reason: 'Case 13' }, 'placed again it has another reason');
  t.equal(await holds.release({ accountId: 'acme', externalId: 'call-1' }), true);
  t.equal(await holds.release({ accountId: 'acme', externalId: 'call-1' }), false);
  t.equal(await outcomeOf(put(worker, recording({ sha256: 'b' }), true)), 'replaced');
  t.equal(await remove(worker), 'done');
});

eachEngine(t, 'a hold on an account is one on each of its recordings', async (t, place) => {
  const worker = await place.worker();
  const holds = new Holds(worker.db);
  await put(worker, recording());
  await put(worker, recording({ externalId: 'call-2' }));
  await put(worker, recording({ accountId: 'other' }));
  await holds.place({ accountId: 'acme', externalId: 'call-2' }, 'one');
  await holds.place({ accountId: 'acme' }, 'all');
  t.same(
    (await holds.list()).map(({ externalId, reason }) => [externalId, reason]),
    [
      [undefined, 'all'],
      ['call-2', 'one'],
    ],
  );
  t.same(await holds.list('other'), []);
  t.equal(await remove(worker), 'held');
  t.match(await holds.on({ accountId: 'acme', externalId: 'call-2' }), { reason: 'one' }, 'its own first');
  t.match(await holds.on({ accountId: 'acme', externalId: 'call-1' }), { reason: 'all' });
  t.equal(await codeOf(worker.catalog.remove('other', 'call-1')), 'done');

  await put(worker, recording({ externalId: 'call-3' }));
  t.equal(await remove(worker, 'call-3'), 'held', 'a recording that comes later too');
  await holds.release({ accountId: 'acme' });
  t.equal(await remove(worker), 'done');
  t.equal(await remove(worker, 'call-2'), 'held');
});

eachEngine(t, 'a hold on nothing is not placed', async (t, place) => {
  const worker = await place.worker();
  const holds = new Holds(worker.db);
  t.equal(await codeOf(holds.place({ accountId: 'acme' }, 'r')), 'not_found');
  await worker.catalog.reject({ ...recording(), report: failing });
  t.equal(await codeOf(holds.place({ accountId: 'acme', externalId: 'call-2' }, 'r')), 'not_found');
  t.equal(await codeOf(holds.place({ accountId: 'acme', externalId: 'call-1' }, 'r')), 'done', 'a report');
  t.equal(await remove(worker), 'held');
  t.equal(await outcomeOf(put(worker, recording())), 'created', 'its first audio destroys nothing');
});

eachEngine(t, 'of a hold and a removal at the same time, the later sees the earlier', async (t, place) => {
  const [one, two] = [await place.worker(), await place.worker()];
  const holds = new Holds(two.db);
  const wrong: string[] = [];
  for (let round = 0; round < 30; round++) {
    const externalId = `call-${round}`;
    await put(one, recording({ externalId }));
    const subject = { accountId: 'acme', ...(round % 2 === 0 && { externalId }) };
    const removing = remove(one, externalId);
    const hold = await codeOf(holds.place(subject, 'r'));
    // What is there once the hold is acknowledged must be there from then on.
    const before = await two.catalog.read('acme', externalId);
    const removal = await removing;
    const after = await two.catalog.read('acme', externalId);
    if (before && !after && hold === 'done') wrong.push(`${round}: removed under a hold`);
    if ((removal === 'done') === (after !== undefined)) wrong.push(`${round}: ${removal}`);
    await holds.release(subject);
    await one.catalog.remove('acme', externalId);
  }
  t.same(wrong, []);
});
