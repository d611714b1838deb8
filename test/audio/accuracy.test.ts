import { readFileSync } from 'node:fs';
import t from 'tap';
import {
  describeAccuracy,
  isWrongFault,
  isWrongPass,
  isWrongRoleFailure,
  judgeCalls,
} from '../../docs/accuracy.ts';

t.test('330 synthetic calls: none passes wrongly, none is rejected wrongly', async (t) => {
  const outcomes = judgeCalls();
  t.equal(outcomes.length, 330);
  t.strictSame(outcomes.filter(isWrongPass), [], 'wrong passes');
  t.strictSame(outcomes.filter(isWrongRoleFailure), [], 'rejected for roles that are right');
  t.strictSame(outcomes.filter(isWrongFault), [], 'channels misjudged');

  const passed = outcomes.filter(({ verdict }) => verdict === 'pass').length;
  t.ok(passed >= 40, `enough of them pass: ${passed}`);
  const page = readFileSync(new URL('../../docs/accuracy.md', import.meta.url), 'utf8');
  t.equal(
    page,
    describeAccuracy(outcomes),
    'docs/accuracy.md is up to date; node docs/accuracy.ts writes it',
  );
});
