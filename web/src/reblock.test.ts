import { expect, test } from "vitest";
import { Reblocker } from "./reblock";

const BLOCK = 480;

function through(quantum: number, input: Float32Array, double: boolean): Float32Array {
  const block = new Float32Array(BLOCK);
  const blocks = new Reblocker(
    () => [block],
    () => {
      if (double) for (const [i, sample] of block.entries()) block[i] = 2 * sample;
    },
  );
  const output = new Float32Array(input.length);
  for (let at = 0; at < input.length; at += quantum) {
    blocks.pass([input.subarray(at, at + quantum)], [output.subarray(at, at + quantum)]);
  }
  return output;
}

test("each sample comes out once, processed, and later by a block, in quanta of any length", () => {
  const input = Float32Array.from({ length: 5 * BLOCK }, (_, n) => n + 1);
  for (const quantum of [1, 96, 128, 480, 800]) {
    const output = through(quantum, input, true);
    const expected = input.map((_, n) => (n < BLOCK ? 0 : 2 * (n - BLOCK + 1)));
    expect(output, `${quantum}`).toEqual(expected);
  }
});

test("a channel that is not there is silent, and one too many is left alone", () => {
  const [left, right] = [new Float32Array(BLOCK), new Float32Array(BLOCK).fill(7)];
  const heard: number[] = [];
  const blocks = new Reblocker(
    () => [left, right],
    () => heard.push(left[0] ?? -1, right[0] ?? -1),
  );
  const output = new Float32Array(BLOCK);
  blocks.pass([new Float32Array(BLOCK).fill(0.5)], [output]);
  expect(heard).toEqual([0.5, 0]);
  blocks.pass([], [output]);
  expect(output[0]).toBe(0.5);
});
