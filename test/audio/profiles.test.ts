import { readFileSync } from 'node:fs';
import t from 'tap';
import { describeProfiles, isProfile, placeByProfile, profiles } from '../../src/audio/profiles.ts';

/** For each profile and each declared leg: the placement of inbound and of outbound calls. */
const placements: Record<string, [noLeg: string, caller: string, recipient: string]> = {
  'twilio-dial': ['as-is as-is', 'as-is as-is', 'swapped swapped'],
  'twilio-flex': ['as-is swapped', 'as-is swapped', 'as-is swapped'],
  'twilio-conference': ['declare declare', 'as-is as-is', 'swapped swapped'],
  telnyx: ['declare declare', 'as-is as-is', 'swapped swapped'],
  'vonage-split': ['as-is as-is', 'as-is as-is', 'swapped swapped'],
  'amazon-connect': ['as-is swapped', 'as-is swapped', 'as-is swapped'],
  freeswitch: ['as-is as-is', 'as-is as-is', 'swapped swapped'],
  fusionpbx: ['as-is swapped', 'as-is swapped', 'as-is swapped'],
  'asterisk-mixmonitor': ['declare declare', 'as-is as-is', 'swapped swapped'],
  mikopbx: ['declare declare', 'as-is as-is', 'swapped swapped'],
  jambonz: ['as-is declare', 'as-is as-is', 'as-is swapped'],
  'azure-acs': ['declare declare', 'declare declare', 'declare declare'],
  'ai-agent': ['as-is swapped', 'as-is swapped', 'as-is swapped'],
  plivo: ['declare declare', 'declare declare', 'declare declare'],
  signalwire: ['declare declare', 'declare declare', 'declare declare'],
  ringcentral: ['declare declare', 'declare declare', 'declare declare'],
  'zoom-phone': ['declare declare', 'declare declare', 'declare declare'],
  aircall: ['declare declare', 'declare declare', 'declare declare'],
};

t.test('every profile has a row here', async (t) => {
  t.strictSame(Object.keys(placements).sort(), Object.keys(profiles).sort());
});

for (const [profile, expected] of Object.entries(placements)) {
  t.test(`${profile}: ${expected.join(' / ')}`, async (t) => {
    const legs = [{}, { leg: 'caller' }, { leg: 'recipient' }] as const;
    const given = legs.map((leg) =>
      (['inbound', 'outbound'] as const)
        .map((direction) => placeByProfile({ profile, direction, ...leg }))
        .join(' '),
    );
    t.strictSame(given, expected);
  });
}

t.test('without a direction, a profile decides only if both directions agree', async (t) => {
  t.equal(placeByProfile({ profile: 'freeswitch' }), 'as-is');
  t.equal(placeByProfile({ profile: 'amazon-connect' }), 'declare');
  t.equal(placeByProfile({ profile: 'jambonz', leg: 'caller' }), 'as-is');
});

t.test('no profile and an unknown one give no placement', async (t) => {
  t.equal(placeByProfile({ direction: 'inbound' }), undefined);
  for (const name of ['acme', '', 'toString', '__proto__', 'constructor']) {
    t.notOk(isProfile(name), name);
    t.equal(placeByProfile({ profile: name, direction: 'inbound' }), undefined, name);
  }
});

t.test('docs/profiles.md is up to date', async (t) => {
  const page = readFileSync(new URL('../../docs/profiles.md', import.meta.url), 'utf8');
  t.equal(page, describeProfiles(), 'npm run generate writes it');
});
