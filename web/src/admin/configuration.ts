// The running configuration: its versions, what came of the last reload, and going back.

import { byId, make, setText } from "../dom";
import type { ConfigInfo, ConfigVersion, Origin } from "../protocol";

export interface ConfigurationListener {
  reload(): void;
  restore(version: number): void;
  /** The text of the version that runs is to be shown. */
  text(version: number): Promise<string>;
}

const ORIGINS: Record<Origin, string> = {
  start: "the start",
  signal: "a signal",
  file: "the changed file",
  api: "a request",
  rollback: "going back",
};

export class ConfigurationView {
  readonly #listener: ConfigurationListener;
  readonly #running = byId("config-running", HTMLElement);
  readonly #last = byId("config-last", HTMLElement);
  readonly #restart = byId("config-restart", HTMLElement);
  readonly #reload = byId("reload", HTMLButtonElement);
  readonly #versions = byId("versions", HTMLOListElement);
  readonly #details = byId("config-details", HTMLDetailsElement);
  readonly #text = byId("config-text", HTMLElement);
  #version = 0;
  #shown = "";

  constructor(listener: ConfigurationListener) {
    this.#listener = listener;
    this.#reload.addEventListener("click", () => listener.reload());
    this.#details.addEventListener("toggle", () => void this.#showText());
  }

  show(info: ConfigInfo, versions: ConfigVersion[]): void {
    const file = info.file ? `from ${info.file}` : "built into the server";
    setText(this.#running, `Version ${info.version} runs, ${file}.`);
    const last = info.lastReload;
    this.#last.dataset.tone = last?.refused ? "bad" : "quiet";
    setText(
      this.#last,
      last
        ? `Last reload: ${when(last.at)}, by ${ORIGINS[last.origin]}. ${last.refused ? `It was refused. ${last.refused}` : "It was taken."}`
        : "It was not read again since the start.",
    );
    this.#restart.hidden = info.needsRestart.length === 0;
    setText(this.#restart, `Takes effect after a restart: ${info.needsRestart.join(", ")}.`);
    this.#reload.disabled = info.file === null;
    const shown = JSON.stringify(versions);
    if (shown !== this.#shown) this.#list(versions);
    this.#shown = shown;
    if (this.#version !== info.version) {
      this.#version = info.version;
      void this.#showText();
    }
  }

  #list(versions: ConfigVersion[]): void {
    this.#versions.replaceChildren(...[...versions].reverse().map((version) => this.#item(version)));
  }

  #item({ version, since, origin, restores, running }: ConfigVersion): HTMLLIElement {
    const item = make("li", "version");
    item.dataset.version = String(version);
    const by = restores === undefined ? ORIGINS[origin] : `going back to ${restores}`;
    item.append(make("span", "", `Version ${version}, ${when(since)}, by ${by}`));
    if (running) item.append(make("span", "state", "runs"));
    else {
      const back = make("button", "quiet", "Go back");
      back.type = "button";
      back.setAttribute("aria-label", `Go back to version ${version}`);
      back.addEventListener("click", () => this.#listener.restore(version));
      item.append(back);
    }
    return item;
  }

  async #showText(): Promise<void> {
    if (!this.#details.open) return;
    const version = this.#version;
    const text = await this.#listener.text(version);
    if (this.#version === version) setText(this.#text, text);
  }
}

function when(time: string): string {
  return new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
}
