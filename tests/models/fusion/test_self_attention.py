"""Self-attention over tokens: agrees with torch's own attention where that is defined."""

import torch
from test_fusion_contract import DIM, make_fusion, make_tokens, without
from torch import nn

from fusion.models.layers import CrossAttention


def test_attention_agrees_with_torch() -> None:
    """The layer of torch, with a key and a value of zero added, is the same function."""
    torch.manual_seed(0)
    ours = CrossAttention(dim=DIM, num_heads=2, dropout=0.0)
    theirs = nn.MultiheadAttention(DIM, 2, batch_first=True, add_zero_attn=True)
    nn.init.normal_(ours.out.weight)
    nn.init.normal_(ours.key_value.bias)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    query, token = torch.randn(5, 3, DIM), torch.randn(5, 6, DIM)
    mask = make_tokens(visits=5).mask
    expected, _ = theirs(ours.norm_query(query), ours.norm_token(token), ours.norm_token(token), key_padding_mask=~mask)
    torch.testing.assert_close(ours(query, token, mask[:, None].expand(-1, 3, -1)), expected)


def test_an_absent_token_may_as_well_not_be_in_the_table() -> None:
    fusion, tokens = make_fusion("self_attention"), make_tokens()
    gone = torch.tensor([False, True, False, False, True, False])
    short = type(tokens)(tokens.values[:, ~gone], tokens.mask[:, ~gone], tokens.modality[~gone])
    torch.testing.assert_close(fusion(short), fusion(without(tokens, gone[None])))
