// From which zoom on what is drawn.

export const TEXT_FROM = 0.34; // labels
export const CHIP_FROM = 0.45; // the sign of the kind
export const SHAPE_FROM = 0.6; // shapes on edges
