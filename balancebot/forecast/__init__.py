"""Pure arithmetic: usage models, runway, usage spikes, order advice and the backtest of limits."""
