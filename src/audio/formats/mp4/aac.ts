/** An AudioSpecificConfig (ISO 14496-3 §1.6.2.1). */
export interface AudioConfig {
  /** For the report: `MPEG-4 audio object type 2`, or `object type 0x6b` if it is not AAC. */
  objectType: string;
  /** Absent if the codec is not accepted. */
  codec?: 'AAC-LC' | 'HE-AAC' | 'HE-AAC v2';
  channels: number;
  sampleRate: number;
  /** Index in `rates` of the rate of the AAC-LC core, which HE-AAC doubles. -1 if it is not listed. */
  coreRateIndex: number;
  unitSampleFrames: number;
}

/** Hz, by the index in an AudioSpecificConfig. */
export const rates = [
  96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
];
/** Channels by channel configuration. For configuration 0, a program config element gives them. */
const channelCounts = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8];

/** Object type indications of AAC (ISO 14496-1 §7.2.6.6). The last three are MPEG-2 AAC. */
const aacIndications = [0x40, 0x66, 0x67, 0x68];
/** Audio object types: AAC-LC; and the extensions that make it HE-AAC and HE-AAC v2. */
const aacLc = 2;
const spectralBandReplication = 5;
const parametricStereo = 29;

/**
 * Reads the content of an `esds` box, without its version and flags.
 *
 * @returns undefined if the descriptors hold no configuration
 */
export function readAudioConfig(bytes: Uint8Array): AudioConfig | undefined {
  const descriptors = readDescriptors(bytes);
  if (!descriptors) return undefined;
  const { indication, specific } = descriptors;
  const unsupported = { channels: 0, sampleRate: 0, coreRateIndex: -1, unitSampleFrames: 0 };
  if (!aacIndications.includes(indication)) {
    return { ...unsupported, objectType: `object type 0x${indication.toString(16)}` };
  }
  const bits = new BitReader(specific);
  let type = readObjectType(bits);
  const coreRate = readRate(bits);
  let sampleRate = coreRate;
  const configuration = bits.read(4);
  let codec: AudioConfig['codec'];
  if (type === spectralBandReplication) codec = 'HE-AAC';
  if (type === parametricStereo) codec = 'HE-AAC v2';
  if (codec) {
    // The rate of the extended audio and the type of the core follow.
    sampleRate = readRate(bits);
    type = readObjectType(bits);
  }
  const objectType = `MPEG-4 audio object type ${codec === 'HE-AAC v2' ? parametricStereo : type}`;
  if (type !== aacLc) return { ...unsupported, objectType };

  const unitSampleFrames = bits.read(1) === 1 ? 960 : 1024;
  const dependsOnCoreCoder = bits.read(1) === 1;
  if (dependsOnCoreCoder) bits.read(14);
  bits.read(1); // extension flag
  let channels = configuration === 0 ? readProgramChannels(bits) : (channelCounts[configuration] ?? 0);
  if (!codec) ({ codec, sampleRate } = readExtension(bits, coreRate));
  if (codec === 'HE-AAC v2') channels = 2;
  return {
    objectType,
    codec,
    channels,
    sampleRate,
    coreRateIndex: rates.indexOf(coreRate),
    unitSampleFrames,
  };
}

/** Reads ES_Descriptor (tag 3), DecoderConfigDescriptor (4) and DecoderSpecificInfo (5): ISO 14496-1 §7.2.6. */
function readDescriptors(bytes: Uint8Array): { indication: number; specific: Uint8Array } | undefined {
  let at = 0;
  let indication = -1;
  while (at + 2 <= bytes.length) {
    const tag = bytes[at++];
    let size = 0;
    for (let more = true, i = 0; more && i < 4; i++) {
      size = (size << 7) | (bytes[at]! & 0x7f);
      more = (bytes[at++]! & 0x80) !== 0;
    }
    if (tag === 3) {
      const flags = bytes[at + 2]!;
      at += 3 + (flags & 0x80 ? 2 : 0) + (flags & 0x40 ? 1 + bytes[at + 3]! : 0) + (flags & 0x20 ? 2 : 0);
    } else if (tag === 4) {
      indication = bytes[at]!;
      at += 13;
      if (!aacIndications.includes(indication)) return { indication, specific: bytes.subarray(0, 0) };
    } else if (tag === 5) {
      return size >= 2 && at + size <= bytes.length
        ? { indication, specific: bytes.subarray(at, at + size) }
        : undefined;
    } else {
      at += size;
    }
  }
  return undefined;
}

function readObjectType(bits: BitReader): number {
  const type = bits.read(5);
  return type === 31 ? 32 + bits.read(6) : type;
}

function readRate(bits: BitReader): number {
  const index = bits.read(4);
  return index === 15 ? bits.read(24) : (rates[index] ?? 0);
}

/** Channels of a program config element (ISO 14496-3 §4.4.1.1). */
function readProgramChannels(bits: BitReader): number {
  bits.read(10); // tag, object type, rate
  const [front, side, back, lfe] = [bits.read(4), bits.read(4), bits.read(4), bits.read(2)];
  bits.read(7); // counts of elements without channels
  for (const mixdownBits of [4, 4, 3]) if (bits.read(1) === 1) bits.read(mixdownBits);
  let channels = lfe;
  for (let element = 0; element < front + side + back; element++) {
    const isPair = bits.read(1) === 1;
    channels += isPair ? 2 : 1;
    bits.read(4); // tag
  }
  return channels;
}

/** Reads the extensions behind the configuration, which older decoders ignore. Each starts with a sync word. */
function readExtension(
  bits: BitReader,
  coreRate: number,
): { codec: AudioConfig['codec']; sampleRate: number } {
  const none = { codec: 'AAC-LC', sampleRate: coreRate } as const;
  if (bits.left < 16 || bits.read(11) !== 0x2b7) return none;
  if (readObjectType(bits) !== spectralBandReplication || bits.read(1) === 0) return none;
  const sampleRate = readRate(bits);
  const hasParametricStereo = bits.left >= 12 && bits.read(11) === 0x548 && bits.read(1) === 1;
  return { codec: hasParametricStereo ? 'HE-AAC v2' : 'HE-AAC', sampleRate };
}

/** Reads big-endian numbers of any width in bits. Bits after the last byte are 0. */
class BitReader {
  #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length * 8 - this.#at;
  }

  read(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++, this.#at++) {
      value = value * 2 + (((this.#bytes[this.#at >> 3] ?? 0) >> (7 - (this.#at & 7))) & 1);
    }
    return value;
  }
}
