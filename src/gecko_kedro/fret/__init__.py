"""FRet: query synthesis, QL and RC ranking, fusion, choice of positive and negative, audit."""
