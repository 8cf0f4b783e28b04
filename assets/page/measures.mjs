// The sizes that everything in the graph is made of, in its own units.

export const NODE_H = 24;
export const ROW = 38; // from one node's top to the next one's
export const LANE = 192; // half the width of a lane
export const TWIN = 400; // from a forward node to its backward twin
export const HEAD = 26; // a box's header
export const PAD = 10; // inside a box, around what stands in it
export const MARGIN = 30; // from the lanes to the outermost box
export const APART = 6; // between neighbours in a row
