// Many files on their way into the object store: a few at a time, straight to where the service says, with a pause.

import { Problem } from "../net/api.js";
import { places, send } from "./upload.js";

const AT_ONCE = 4;
const PLACES = 40;
const LINK_ENDED = 403;

export class Shipment {
  files = [];
  paused = false;
  #sent;
  #told;
  #onWait;
  #running = 0;
  #stop = new AbortController();
  #asking = null;
  #began = 0;
  #moved = 0;

  /** `sent` remembers; `told()` hears that something has changed, `onWait(true|false)` whether the service is away. */
  constructor(sent, { told, onWait }) {
    this.#sent = sent;
    this.#told = told;
    this.#onWait = onWait;
  }

  /** More files; those that were sent before are there at once, those that are here already are not taken twice. */
  add(files) {
    const here = new Set(this.files.map(({ path }) => path));
    for (const file of files) {
      if (here.has(file.path)) continue;
      here.add(file.path);
      const id = this.#sent.idOf(file);
      this.files.push({ ...file, id, bytes: id ? file.size : 0, error: null, place: null, taken: Boolean(id) });
    }
    this.#told();
    this.#go();
  }

  pause() {
    this.paused = true;
    this.#stop.abort();
    this.#told();
  }

  resume() {
    this.paused = false;
    for (const file of this.files) {
      if (file.error) Object.assign(file, { taken: false, error: null });
    }
    this.#told();
    this.#go();
  }

  /** Leave all of it. */
  clear() {
    this.#stop.abort();
    this.files = [];
    this.paused = false;
    this.#told();
  }

  /** Send again what the service does not have any more. */
  renew() {
    this.#sent.forget(this.files);
    for (const file of this.files) Object.assign(file, { id: null, place: null, taken: false, bytes: 0 });
    this.resume();
  }

  get figures() {
    const total = this.files.reduce((sum, file) => sum + file.size, 0);
    const done = this.files.reduce((sum, file) => sum + file.bytes, 0);
    const count = this.files.filter((file) => file.id).length;
    const failed = this.files.filter((file) => file.error);
    const seconds = (performance.now() - this.#began) / 1000;
    const rate = this.#moved && seconds > 1 ? this.#moved / seconds : 0;
    return { total, done, count, failed, left: rate ? (total - done) / rate : null, whole: count === this.files.length };
  }

  /** Those that were stopped leave first, and the last of them begins anew: no file is in two hands. */
  #go() {
    if (this.paused || (this.#running && this.#stop.signal.aborted)) return;
    if (!this.#running) {
      [this.#began, this.#moved] = [performance.now(), 0];
      this.#stop = new AbortController();
    }
    while (this.#running < AT_ONCE && this.files.some((file) => !file.taken)) {
      this.#running += 1;
      this.#work(this.#stop.signal).finally(() => {
        this.#running -= 1;
        this.#go();
        this.#told();
      });
    }
  }

  async #work(signal) {
    for (let file; !signal.aborted && (file = this.files.find((one) => !one.taken)); ) {
      file.taken = true;
      try {
        await this.#ship(file, signal);
      } catch (error) {
        file.bytes = 0;
        if (signal.aborted) file.taken = false;
        else file.error = error;
      }
      this.#told();
    }
  }

  async #ship(file, signal) {
    const blob = await file.open();
    for (let again = true; ; again = false) {
      const place = await this.#placeOf(file, signal);
      let before = 0;
      const onProgress = (share) => {
        file.bytes = share * file.size;
        this.#moved += file.bytes - before;
        before = file.bytes;
        this.#told();
      };
      try {
        await send(place, blob, { onProgress, onWait: this.#onWait, signal });
        file.id = place.id;
        file.bytes = file.size;
        this.#sent.remember(file);
        return;
      } catch (error) {
        file.place = null;
        if (!(error instanceof Problem) || error.status !== LINK_ENDED || !again) throw error;
      }
    }
  }

  /** Places are asked for together: one question for many files. */
  async #placeOf(file, signal) {
    while (!file.place) {
      this.#asking ??= this.#ask(file, signal).finally(() => (this.#asking = null));
      await this.#asking;
    }
    const { place } = file;
    file.place = null;
    return place;
  }

  async #ask(first, signal) {
    const wanting = [first, ...this.files.filter((file) => file !== first && !file.taken && !file.place && !file.id)].slice(0, PLACES);
    const wanted = wanting.map(({ path, size }) => ({ name: path.split("/").at(-1), blob: { size, type: "" } }));
    const found = await places(wanted, { signal, onWait: this.#onWait });
    wanting.forEach((file, index) => (file.place = found[index]));
  }
}
