import { type PickupOptions, pickUp } from './pickup.ts';
import type { SandboxAccount, SandboxCall, World } from './world.ts';

/** Each lane picks up one recording after the other, so that at most four are in memory at once. */
const laneCount = 4;

/** Picks up the recordings that were marked ready. */
export class Pickups {
  readonly #world: World;
  readonly #options: PickupOptions;
  readonly #lanes = Array.from({ length: laneCount }, () => Promise.resolve());
  #added = 0;

  constructor(world: World, options: PickupOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** The result is the call's `pickup`. */
  add(call: SandboxCall, account: SandboxAccount): void {
    const lane = this.#added++ % laneCount;
    this.#lanes[lane] = this.#lanes[lane]!.then(async () => {
      call.pickup = await pickUp(this.#world.recordingUrl(call), call, account, this.#options);
      if (call.pickup.transcribed) call.properties.hs_call_has_transcript = 'true';
    });
  }

  /** Resolves when every recording that was marked ready has been picked up. */
  async idle(): Promise<void> {
    for (let seen = -1; seen !== this.#added; ) {
      seen = this.#added;
      await Promise.all(this.#lanes);
    }
  }
}
