import t from 'tap';
import { contactParty, numberParty, partiesOf } from '../../src/crm/parties.ts';

const same = [
  '+49301234567',
  '+49 30 1234567',
  '+49 (30) 123-45.67',
  '+49 (0)30 1234567',
  '0049 30 1234567',
  '0049 (0) 30 1234567'.replace('(0) ', '(0)'),
  '49301234567',
  'tel:+49-30-1234567;ext=12',
  'sip:+49301234567@pbx.example:5061',
  ' SIPS:0049301234567@10.0.0.1',
];

const others = ['030 1234567', '+4930123456', '+493012345678', '1234567', '+49301234567 x12'];

t.test('the same number in many spellings is one party', async (t) => {
  for (const number of same) t.equal(numberParty(number), 'number:49301234567', number);
});

t.test('another number is another party, even if one is part of the other', async (t) => {
  for (const number of others) t.not(numberParty(number), 'number:49301234567', number);
});

t.test('what has no digit is no number', async (t) => {
  for (const number of ['', 'anonymous', 'sip:alice@10.0.0.1', '00'])
    t.equal(numberParty(number), undefined, number);
});

t.test('the parties of a call are its numbers and the contacts of its associations', async (t) => {
  t.same(partiesOf({}), []);
  t.same(
    partiesOf({
      from: '+4930111',
      to: '0049 30 111',
      title: 'Call with +49 30 222',
      associations: [
        { objectType: 'contacts', objectId: '7' },
        { objectType: 'Contact', objectId: '8' },
        { objectType: '0-1', objectId: '9' },
        { objectType: 'companies', objectId: '10' },
        { objectType: 'contacts', objectId: '7', associationTypeId: 194 },
      ],
    }),
    ['number:4930111', 'contact:7', 'contact:8', 'contact:9'],
  );
  t.equal(contactParty(' 7 '), 'contact:7');
});
